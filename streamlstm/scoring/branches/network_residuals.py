"""What the network got wrong: running means of its squared errors, over widths from one sample to most of a period.

Three residuals are measured (`streamlstm.kernels.residuals` has the formulas): of the reconstruction of the newest
sample, of the forecast one sample ahead, and of the ensemble of all forecasts that were made for a sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import advance_residuals, row_length
from streamlstm.kernels.faces import check_array
from streamlstm.model.network import Architecture
from streamlstm.scoring.branches.clean_rows import CleanRows
from streamlstm.scoring.branches.protocol import Measured, StateArrays
from streamlstm.scoring.forward import ForwardResult, SeriesChunk
from streamlstm.scoring.period_rows import LONGEST_PERIOD_ROWS
from streamlstm.scoring.state import StatePiece

__all__ = ["NetworkResiduals", "fit_network_residuals", "fit_scales", "steady_channels", "widths_for"]

_RESIDUALS = ("reconstruction", "forecast", "ensemble")
_SHORT_WIDTHS = (1.0, 4.0, 16.0)
_LEAST_LONG_WIDTH = 32.0
_ROUNDING = 1e-6  # of a value: eight times what a float32 resolves
_SCALE_FLOOR = 0.01
"""In standard deviations of the channel. A channel that the network predicts to the last bit (a constant, a counter)
has no error to measure, and without a floor the first rounding would be an alarm."""


@dataclass(frozen=True, slots=True)
class NetworkResiduals:
    """The branch with its fitted numbers.

    Shapes: scales float32 [3, C], root mean square of each residual; widths float32 [W] in samples, rising; steady
    uint8 [C], 1 = the channel never moved in training; directions int8 [C], 1 = only what is above its expected value
    counts, -1 = only what is below, 0 = both; least float32 [C], the smallest deviation that counts, standardised.

    Units: burn_in in samples: the residuals of a younger stream are the start's, not the stream's, and enter no mean.
    """

    name: ClassVar[str] = "network_residuals"
    weight: ClassVar[float] = 3.0
    lightest_tail: ClassVar[float] = 0.15
    """A mean of squared errors has a heavier tail than its clean sample shows; an exponential one would make a thousand
    nats of a stream that has shifted."""

    architecture: Architecture
    burn_in: int
    scales: NDArray[np.float32]
    widths: NDArray[np.float32]
    steady: NDArray[np.uint8]
    directions: NDArray[np.int8]
    least: NDArray[np.float32]
    alphas: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        channels = self.architecture.channels
        check_array("scales", self.scales, np.float32, (len(_RESIDUALS), channels))
        check_array("widths", self.widths, np.float32, (None,))
        check_array("steady", self.steady, np.uint8, (channels,))
        check_array("directions", self.directions, np.int8, (channels,))
        check_array("least", self.least, np.float32, (channels,))
        if not (self.scales > 0).all():
            raise ShapeError("scales: expected numbers above 0")
        if not len(self.widths) or not (self.widths >= 1).all():
            raise ShapeError("widths: expected at least one, and none below 1 sample")
        object.__setattr__(self, "alphas", (2.0 / (self.widths + 1.0)).astype(np.float32))

    @property
    def parts(self) -> Sequence[str]:
        """Each residual's mean over each width."""
        return tuple(f"{residual}/{width:g}" for residual in _RESIDUALS for width in self.widths.tolist())

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Scales, widths, and which channels are steady."""
        return {"scales": self.scales, "widths": self.widths, "steady": self.steady}

    @property
    def fill_rows(self) -> int:
        """Samples until the widest mean is full."""
        return self.burn_in + int(self.widths[-1])

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """One row of float32: the forecast for the next sample, the ring of forecasts, the means, channel energies."""
        a = self.architecture
        return {"rows": StatePiece(np.float32, (row_length(a.channels, a.forecast, len(self.widths)),))}

    def advance(self, result: ForwardResult, state: StateArrays) -> Measured:
        """Measure samples and advance the rows of their streams."""
        count, channels = result.x.shape
        measured = Measured.empty(count, parts=len(_RESIDUALS) * len(self.widths), channels=channels)
        advance_residuals(
            result.slots,
            x=result.x,
            observed=result.observed,
            steady=self.steady,
            directions=self.directions,
            least=self.least,
            reset=result.reset,
            head=result.head,
            scales=self.scales,
            alphas=self.alphas,
            burn_in=self.burn_in,
            ages=result.ages,
            rows=state["rows"],
            means=measured.statistics,
            contribution=measured.contribution,
            expected=measured.expected,
        )
        return measured


def fit_network_residuals(clean: CleanRows) -> NetworkResiduals:
    """Return the branch: widths from the period, the residuals' sizes from the rows that calibrate."""
    architecture, widths = clean.forward.network.architecture, widths_for(clean.period_rows)
    longest = int(widths[-1])
    burn_in = max(architecture.forecast, longest // 2)
    scales = fit_scales(architecture, clean.runs(burn_in + longest))
    steady = steady_channels([one.values for one in clean.series])
    rules = clean.rules
    return NetworkResiduals(architecture, burn_in, scales, widths, steady, rules.directions, rules.least)


def widths_for(period_rows: int) -> NDArray[np.float32]:
    """Return the widths of the means in samples: 1, 4 and 16, and two thirds of the period, 32 at least.

    What is sudden stands out in the narrow ones, what lasts in the wide; in waves the widest covers most of a beat. A
    period beyond 400 rows is most often a day, which no fault fills, so it sets no width.
    """
    longest = 2.0 / 3.0 * period_rows if period_rows <= LONGEST_PERIOD_ROWS else 0.0
    return np.array([*_SHORT_WIDTHS, max(longest, _LEAST_LONG_WIDTH)], np.float32)


def steady_channels(series: Iterable[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Return which channels keep one value in every series, up to the rounding of float32: uint8 [C], 1 = does.

    Shapes: each series [T, C], NaN = missing; what is missing does not move.
    """
    still = np.array([_is_still(values) for values in series])
    return np.asarray(still.all(axis=0), np.uint8)


def _is_still(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    seen = np.isfinite(values)
    high = np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf)
    low = np.where(seen, values, np.inf).min(axis=0, initial=np.inf)
    size = np.where(seen, np.abs(values), 0).max(axis=0, initial=0)
    return np.asarray((high < low) | (high - low <= _ROUNDING * size))


def fit_scales(architecture: Architecture, runs: Iterable[tuple[int, Iterable[SeriesChunk]]]) -> NDArray[np.float32]:
    """Return the root mean square of each residual by channel [3, C], over observed values.

    Each run is of one series, and counts from the row that is given with it.
    """
    p, channels = architecture.forecast, architecture.channels
    squares, counts = np.zeros((3, channels)), np.zeros((3, channels))
    for start, chunks in runs:
        for chunk in chunks:
            x = chunk.result.x
            ensemble = np.zeros_like(x)
            for h in range(1, p + 1):
                ensemble += chunk.forecast(h) / p
            counted = chunk.result.observed.astype(bool)
            counted[: max(max(start, p) - chunk.begin, 0)] = False
            for kind, estimate in enumerate((chunk.reconstruction(), chunk.forecast(1), ensemble)):
                residual = np.where(counted, x - estimate, 0.0)
                squares[kind] += (residual.astype(np.float64) ** 2).sum(axis=0)
                counts[kind] += counted.sum(axis=0)
    return np.maximum(np.sqrt(squares / np.maximum(counts, 1)), _SCALE_FLOOR).astype(np.float32)
