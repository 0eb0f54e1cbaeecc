"""What a report is made of: the bundle, how training went, and the data as it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.scoring.branches.known import network_residuals_of
from streamlstm.training.trainer import ValidationPoint

__all__ = ["TrainingReport"]


@dataclass(frozen=True)
class TrainingReport:
    """One training, for its page.

    Shapes: series float32 [T, C] by stream, NaN = missing; cuts by stream: rows before the first are the training part,
    before the second the validation part, from there on the calibration part.
    Units: seconds that training took; best_update is that of the history's point whose weights were kept.
    `choices` are sentences on what was chosen from the data, `sources` the files, `command` what repeats it.
    Raises: ShapeError when streams and cuts, or channels and columns, do not fit each other.
    """

    bundle: ModelBundle | WindowBundle
    history: tuple[ValidationPoint, ...]
    best_update: int
    series: Mapping[str, NDArray[np.float32]]
    cuts: Mapping[str, tuple[int, int]]
    choices: tuple[str, ...] = ()
    seconds: float = math.nan
    sources: tuple[str, ...] = ()
    command: str = ""

    def __post_init__(self) -> None:
        channels = len(self.bundle.channels)
        for stream_id, values in self.series.items():
            if values.ndim != 2 or values.shape[1] != channels:
                raise ShapeError(f"{stream_id}: expected values [T, {channels}], got {list(values.shape)}")
            first, second = self.cuts.get(stream_id, (-1, -1))
            if not 0 <= first <= second <= len(values):
                raise ShapeError(
                    f"{stream_id}: expected two cuts between 0 and its {len(values)} rows, got {first} and {second}"
                )

    @property
    def is_causal(self) -> bool:
        """Whether the model scores streams; one that scores whole windows sees both sides of a sample."""
        return isinstance(self.bundle, ModelBundle)

    @property
    def averaged_rows(self) -> float:
        """How many rows a score is a mean over, at most."""
        if isinstance(self.bundle, WindowBundle):
            return float(self.bundle.calibration.width)
        return float(network_residuals_of(self.bundle).widths[-1])

    @property
    def period_s(self) -> float:
        """Seconds between rows; 0 = unknown."""
        return self.bundle.period_s

    @property
    def best(self) -> ValidationPoint | None:
        """The validation point whose weights were kept; None where there is none."""
        return next((point for point in self.history if point.update == self.best_update), None)

    def unit(self, channel: int) -> str:
        """Return a channel's unit, or nothing."""
        units = self.bundle.units
        return units[channel] if channel < len(units) else ""

    def rows(self) -> tuple[int, int, int]:
        """Rows of the training, validation and calibration parts, all streams together."""
        cuts = [(*self.cuts[stream_id], len(values)) for stream_id, values in self.series.items()]
        return (
            sum(first for first, _, _ in cuts),
            sum(second - first for first, second, _ in cuts),
            sum(end - second for _, second, end in cuts),
        )
