"""`train_window_model`: from recorded values to the bundle of a whole-window model, split by time as for `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError, ShapeError, UsageError
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.windows.batch import without_holes
from streamlstm.model.windows.network import WindowArchitecture
from streamlstm.scoring.windows.errors import calibrate_windows, measured, width_for
from streamlstm.training.fit import training_metadata
from streamlstm.training.plan import make_plan
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import TrainingProgress
from streamlstm.training.windows.trainable import fit_window_network

__all__ = ["train_window_model"]

_LEAST_WINDOW = 8
_APPLY = (
    "batch",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "clip_norm",
    "schedule",
    "max_updates",
    "validate_every",
    "patience",
    "seed",
)
"""Options of the trainer that a whole-window network is trained by."""


def train_window_model(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    arrangement: str,
    period_s: float = 0.0,
    channels: Sequence[str] | None = None,
    units: Sequence[str] = (),
    name: str = "model",
    version: int = 1,
    created_at: str = "",
    window: int | None = None,
    hidden: int | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    max_updates: int | None = None,
    seed: int = 1,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_choice: Callable[[str], None] | None = None,
) -> WindowBundle:
    """Train one whole-window model on one stream or on many; values, channels and the like as for `train`.

    Units: window in rows. `arrangement` is bidirectional or encoder_decoder. What is not given is chosen from the data,
    and each choice said to `on_choice`.
    State: the arguments alone decide the result, bit for bit, on one machine.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for sizes that cannot be.
    """
    asked = partial(
        make_plan,
        values,
        channels=channels,
        cell=cell,
        layers=layers,
        hidden=hidden,
        max_updates=max_updates,
        seed=seed,
        forecast=1,  # of causal networks only: given, so that nothing is said of them
        reconstruct=1,
    )
    plan = asked(segment=window)
    longest = max(len(v) - plan.cuts[key][1] for key, v in plan.series.items())  # of what is left to calibrate on
    if window is None and plan.options.segment > longest // 2:
        plan = asked(segment=max(longest // 2, _LEAST_WINDOW))
    elif window is not None and window // 2 > longest:
        raise DataError(
            f"window: expected at most {2 * longest} rows, twice the longest part that is left to calibrate on, "
            f"got {window}"
        )
    o = plan.options
    try:
        architecture = WindowArchitecture(arrangement, len(plan.channels), o.hidden, o.cells, o.segment)
    except ShapeError as error:
        raise UsageError(str(error)) from error
    if on_choice is not None:
        on_choice(f"{arrangement}: scores whole windows of {o.segment} rows, recordings only")
        for sentence in plan.choices:
            on_choice(sentence)
    training = [v[: plan.cuts[key][0]] for key, v in plan.series.items()]
    validated = [v[plan.cuts[key][0] : plan.cuts[key][1]] for key, v in plan.series.items()]
    held_out = [v[plan.cuts[key][1] :] for key, v in plan.series.items()]
    fit = fit_window_network(
        _segments(plan.standardizer, training, hole=architecture.hole),
        _segments(plan.standardizer, validated, hole=architecture.hole),
        architecture,
        o,
        progress=on_progress,
    )
    calibration = calibrate_windows(
        fit.network, plan.standardizer, held_out, width=width_for(plan.period_rows, o.segment)
    )
    return WindowBundle(
        network=fit.network,
        standardizer=plan.standardizer,
        calibration=calibration,
        channels=plan.channels,
        units=tuple(units),
        period_s=float(period_s),
        name=name,
        version=version,
        created_at=created_at,
        training=training_metadata(plan, updates=fit.updates, validation_loss=fit.best_validation_loss)
        | {"options": {key: value for key, value in asdict(o).items() if key in _APPLY}},
    )


def _segments(standardizer: Standardizer, series: Sequence[NDArray[np.float32]], *, hole: int) -> list[Segment]:
    parts = (v[begin:end] for v in series for begin, end in without_holes(np.isfinite(v), hole=hole))
    return [Segment(*measured(standardizer, part)) for part in parts]
