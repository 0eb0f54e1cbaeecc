"""`import_network`: recurrent layers that were trained elsewhere, with normal data, to a model bundle.

1. Each stream is split by time, as in training.
2. The standardizer is the file's own, or fitted on the first parts.
3. The head is the file's own, or fitted on the first parts, its ridge chosen on the second.
4. Residual scales and tails are calibrated on the third parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from numpy.typing import ArrayLike

from streamlstm.errors import DataError, UsageError
from streamlstm.kernels import CellWeights
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.interchange.foreign import ForeignNetwork, Linear
from streamlstm.model.interchange.raw_inputs import take_standardized, tell_standardized
from streamlstm.model.interchange.widening import architecture_of, widen, widen_head
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.training.causal.plan import CausalPlan, make_plan
from streamlstm.training.linear_head import SplitSegment, fit_head
from streamlstm.training.plan import fingerprint
from streamlstm.training.segments import standardized_segment

__all__ = ["import_network"]


def import_network(
    foreign: ForeignNetwork,
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    channels: Sequence[str] | None = None,
    period_s: float = 0.0,
    is_raw: bool = False,
    has_head: bool = False,
    forecast: int | None = None,
    name: str = "model",
    version: int = 1,
    created_at: str = "",
    on_choice: Callable[[str], None] | None = None,
) -> ModelBundle:
    """Make a bundle of foreign layers and normal data.

    Shapes: values float [T, C], NaN = missing, or {stream id: such an array}, C the layers' inputs.
    `is_raw` says that the network was trained on values in the channels' units; `has_head` that the foreign head gives
    the newest sample and then each horizon, C values each: it is taken, not fitted.
    Raises: DataError when there is too little data, or of other channels; UsageError for a head that cannot be taken.
    """
    note = on_choice or (lambda _: None)
    plan = make_plan(values, channels=channels, forecast=forecast)
    count, inputs = len(plan.channels), foreign.layers[0].input_size
    if count != inputs:
        raise DataError(
            f"expected {inputs} channels, as the lowest layer of {foreign.source} takes, got {count}: "
            f"{', '.join(plan.channels)}; choose them, in the order of the inputs (--channels)"
        )
    if is_raw and foreign.standardizer is not None:
        raise UsageError(f"{foreign.source}: standardizes its inputs itself, so they cannot also be raw")
    if foreign.standardizer is not None and len(foreign.standardizer.mean) != count:
        raise DataError(f"{foreign.source}: expected a standardizer of {count} channels, as the layers take")
    standardizer = foreign.standardizer or plan.standardizer
    layers = widen(foreign.layers)
    widths = [layer.hidden_size for layer in foreign.layers]
    if len(set(widths)) > 1:
        note(f"layers of {', '.join(map(str, widths))} units: narrower ones get zero units, which change nothing")
    if is_raw:
        layers = (take_standardized(layers[0], standardizer), *layers[1:])
    horizons = plan.options.forecast
    if has_head:
        head, horizons = _taken_head(foreign, count, forecast)
        head = widen_head(head, layers[-1].output_size)
        head = tell_standardized(head, standardizer) if is_raw else head
    else:
        head = _fitted_head(layers, plan, standardizer, horizons)
        note(f"fitted a head for the newest row and the next {horizons}, on the data")
    network = Network(architecture_of(layers, channels=count, forecast=horizons), layers, *head)
    calibration = calibrate(
        network,
        standardizer,
        [CalibrationSeries(v, plan.cuts[key][1]) for key, v in plan.series.items()],
        period_rows=plan.period_rows,
    )
    return ModelBundle(
        network=network,
        standardizer=standardizer,
        calibration=calibration,
        channels=plan.channels,
        period_s=float(period_s),
        name=name,
        version=version,
        created_at=created_at,
        training={
            "imported": foreign.source,
            "head": "the file's" if has_head else "fitted on the data",
            "inputs": "raw" if is_raw else "standardized",
            "rows": sum(map(len, plan.series.values())),
            "streams": len(plan.series),
            "fingerprint": fingerprint(plan.series),
            "period_rows": plan.period_rows,
        },
    )


def _taken_head(foreign: ForeignNetwork, channels: int, forecast: int | None) -> tuple[Linear, int]:
    """Return the file's head and how many samples ahead it tells."""
    if foreign.head is None:
        raise UsageError(f"{foreign.source}: has no linear layer to use as head; leave head out, and one is fitted")
    outputs = len(foreign.head[1])
    horizons, rest = divmod(outputs, channels)
    horizons -= 1
    if rest or horizons < 1 or horizons != (forecast or horizons):
        wanted = f"{channels * (1 + forecast)}" if forecast else f"{channels} * (1 + p), p at least 1"
        raise UsageError(
            f"{foreign.source}: head: expected {wanted} outputs (the newest sample, then each of p ahead, "
            f"{channels} values each), got {outputs}; leave head out, and one is fitted on the data"
        )
    return foreign.head, horizons


def _fitted_head(
    layers: tuple[CellWeights, ...], plan: CausalPlan, standardizer: Standardizer, forecast: int
) -> Linear:
    parts = []
    for key, values in plan.series.items():
        first, second = plan.cuts[key]
        parts.append(
            SplitSegment(
                standardized_segment(standardizer, values[:second]), min(plan.options.burn_in, first // 2), first
            )
        )
    return fit_head(layers, parts, forecast=forecast)
