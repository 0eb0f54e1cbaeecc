"""The plan of a causal model: `make_plan` checks and splits the data and chooses the options that are not given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.channels import ChannelDeclaration, ChannelRules, check_declarations
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.network_residuals import steady_channels
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.training.causal.trainable import CausalTraining, causal_architecture
from streamlstm.training.choices import choose_options
from streamlstm.training.options import TrainerOptions, as_first_named, check_names, choose_cells
from streamlstm.training.plan import BundleLabels, Plan, split_data
from streamlstm.training.segments import Segment, standardized_segment

__all__ = ["CausalPlan", "make_plan"]

_FIXED = ("hidden", "cells", "projection", "mask_inputs", "forecast", "reconstruct")


@dataclass(frozen=True)
class CausalPlan(Plan[Network, ModelBundle]):
    """A causal model's plan. `start` is the bundle whose weights training begins from."""

    BUNDLE = ModelBundle

    start: ModelBundle | None = None
    declared: Mapping[str, ChannelDeclaration] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """Return the network that will be trained."""
        return causal_architecture(self.options, channels=len(self.channels))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the options."""
        return asdict(self.options)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the options, under their first names."""
        return as_first_named(self.options)

    def trainable(self, *, frozen: Sequence[str] = ()) -> CausalTraining:
        """Return the network in training. Raises: UsageError when a frozen name is of no parameter."""
        training, validation = [], []
        for key, values in self.series.items():
            first, second = self.cuts[key]
            segment = standardized_segment(self.standardizer, values[:second])
            training.append(Segment(segment.x[:first], segment.observed[:first]))
            validation.append(Segment(segment.x[first:], segment.observed[first:]))
        start = self.start.network if self.start else None
        return CausalTraining(training, validation, self.options, start=start, frozen=frozen)

    def metadata(self, *, updates: int, validation_loss: float, frozen: Sequence[str]) -> dict[str, Any]:
        """Return what a bundle says of its training: what it started from too."""
        said = super().metadata(updates=updates, validation_loss=validation_loss, frozen=frozen)
        return said | ({"start": self.start.label, "frozen": list(frozen)} if self.start else {})

    def bundle(self, network: Network, labels: BundleLabels, training: dict[str, Any]) -> ModelBundle:
        """Calibrate, each stream running from its first row on."""
        if self.start is None:
            network = _blind_to_constants(network, list(self.series.values()))
        calibration = calibrate(
            network,
            self.standardizer,
            [CalibrationSeries(values, self.cuts[key][1]) for key, values in self.series.items()],
            period_rows=self.period_rows,
            period_s=labels.period_s,
            rules=ChannelRules.of(self.declared, self.channels, self.standardizer),
        )
        return ModelBundle(
            network=network,
            standardizer=self.standardizer,
            calibration=calibration,
            channels=self.channels,
            training=training,
            declared=self.declared,
            **vars(labels),
        )


def _blind_to_constants(network: Network, series: Sequence[NDArray[np.float32]]) -> Network:
    """Take channels that had one value throughout out of the network's inputs.

    Their standardised input was 0 in every row, so no gradient ever reached their weights: these are as they were drawn
    at first, and would shake the whole state when such a channel moves for the first time.
    """
    constant = np.flatnonzero(steady_channels([np.concatenate(series)]))
    if not len(constant):
        return network
    w_ih = network.layers[0].w_ih.copy()
    w_ih[:, constant] = 0.0
    return replace(network, layers=(replace(network.layers[0], w_ih=w_ih), *network.layers[1:]))


def make_plan(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    channels: Sequence[str] | None = None,
    start: ModelBundle | None = None,
    declared: Mapping[str, ChannelDeclaration] | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    **options: Any,
) -> CausalPlan:
    """Check and split the data, and choose the options that are not given.

    `cell` is lstm, peephole, gru, gru_reset_before or rnn, one for all layers or one for each, comma separated;
    `options` are fields of TrainerOptions, None where one is to be chosen. With `start` its architecture is kept, and
    what is declared of its channels, where nothing else is.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for options that cannot be.
    """
    data = split_data(values, channels=channels or (start.channels if start else None))
    if declared is None:
        declared = start.declared if start else {}
    check_declarations(declared, data.channels)
    check_names(options, known=[one.name for one in fields(TrainerOptions)], of="the trainer")
    given = {key: value for key, value in options.items() if value is not None}
    if cell is not None or layers is not None:
        given["cells"] = choose_cells(cell or "lstm", layers)
    if start is not None:
        given = _like(start, data.channels, given)
    chosen, reasons = choose_options(
        rows=len(data.training_values),
        channels=len(data.channels),
        period_rows=data.period_rows,
        given=given,
        is_tuned=start is not None,
    )
    return CausalPlan(
        series=data.series,
        cuts=data.cuts,
        channels=data.channels,
        standardizer=start.standardizer if start else Standardizer.fit(data.training_values),
        period_rows=data.period_rows,
        options=chosen,
        choices=(*data.notes, *reasons),
        start=start,
        declared=dict(declared),
    )


def _like(start: ModelBundle, names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Take the architecture of the bundle that is fine-tuned; options that contradict it are refused."""
    if names != start.channels:
        raise DataError(f"expected the channels of {start.label} {list(start.channels)}, got {list(names)}")
    a = start.network.architecture
    fixed = {name: getattr(a, name) for name in _FIXED}
    for name in _FIXED:
        if name in given and given[name] != fixed[name]:
            raise UsageError(f"{name}: expected {fixed[name]!r} as {start.label} has, got {given[name]!r}")
    return given | fixed
