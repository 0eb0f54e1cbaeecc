"""How long a channel keeps one value, or has none, before that is worth an alert: learnt in training, found at once.

A stuck sensor is easy to predict, so no residual finds it. What tells it from a channel that rests is how long that
channel ever rested in training. The bounds, in samples that hold a value for runs and in samples for holes:

    flat_after     3 * the longest run in training, 10 * where that has 16 samples or more, and at least 16 samples and
                   a second
    missing_after  3 * the longest hole in training, and at least 16 samples and ten seconds

Three is measured: of some 700 channels of recordings, those that rest for a sixteenth of their training rows or longer
left out, seven have a run beyond three times their longest anywhere in their unlabelled rows; with two it is eleven.
But a channel that rests does so again and again, and sometimes for longer: counters of servers have 50 such runs. With
ten times as long for channels that rest it is 17. A channel that rests for a sixteenth of its rows (a switch, a
command), that never moved, or that never had a value, is not watched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import advance_runs
from streamlstm.kernels.faces import check_array
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.forward import ForwardResult
from streamlstm.scoring.state import StatePiece
from streamlstm.types import ChannelFindings

__all__ = ["ChannelRuns", "fit_runs", "runs_of"]

_MULTIPLE, _RESTING_MULTIPLE = 3, 10
_LEAST_ROWS = 16
"""A value that comes 16 times in a row is no chance where it never came twice, in recordings as in the simulations. A
channel that has kept one for as long in training rests now and then."""
_LEAST_FLAT_S, _LEAST_MISSING_S = 1.0, 10.0
"""Nobody is to be woken for less, and training data are often cleaned of their holes."""
_RESTING_SHARE = 1 / 16
_ROUNDING = 1e-6
_MOST_ROWS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ChannelRuns:
    """The bounds of a model's channels, and the state of its streams' runs and holes.

    Shapes: flat_after, missing_after int32 [C] in samples, 0 = not watched.
    """

    flat_after: NDArray[np.int32]
    missing_after: NDArray[np.int32]

    def __post_init__(self) -> None:
        check_array("flat_after", self.flat_after, np.int32, (None,))
        check_array("missing_after", self.missing_after, np.int32, self.flat_after.shape)
        if (self.missing_after < 0).any() or ((self.flat_after < 2) & (self.flat_after != 0)).any():
            raise ShapeError("expected flat_after of 0, or 2 and more, and missing_after of 0 or more samples")

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The bounds, as they stand in bundles."""
        return {"flat_after": self.flat_after, "missing_after": self.missing_after}

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """The pieces of a stream's state row: 28 bytes a channel."""
        shape = (len(self.flat_after),)
        return {
            "run_firsts": StatePiece(np.float32, shape),
            "run_lengths": StatePiece(np.int32, shape),
            "hole_lengths": StatePiece(np.int32, shape),
            "run_since": StatePiece(np.int64, shape),
            "hole_since": StatePiece(np.int64, shape),
        }

    def advance(
        self,
        result: ForwardResult,
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        state: Mapping[str, NDArray[Any]],
    ) -> ChannelFindings:
        """Advance the streams by the admitted of N samples; return what is found of them, by rows of the N.

        Shapes: event_time_ms int64 [N]; values float32 [N, C] in the channels' units, NaN = missing.
        """
        rows, ages = result.admitted, result.ages
        if len(rows) < len(values):
            event_time_ms, values = event_time_ms[rows], values[rows]
        found, since = np.empty(values.shape, np.uint8), np.empty(values.shape, np.int64)
        advance_runs(
            result.slots,
            event_time_ms=event_time_ms,
            ages=ages,
            values=values,
            flat_after=self.flat_after,
            missing_after=self.missing_after,
            firsts=state["run_firsts"],
            runs=state["run_lengths"],
            holes=state["hole_lengths"],
            run_since=state["run_since"],
            hole_since=state["hole_since"],
            found=found,
            since=since,
        )
        places, channels = np.nonzero(found)
        return ChannelFindings(
            begun=rows[ages == 0],
            rows=rows[places],
            channels=channels,
            kinds=found[places, channels],
            since_ms=since[places, channels],
        )


def runs_of(bundle: ModelBundle) -> ChannelRuns | None:
    """Return what a bundle says of its channels' runs; None for those of earlier releases, which say nothing.

    Raises: BundleError when it does not fit the channels.
    """
    if not bundle.calibration.runs:
        return None
    try:
        runs = ChannelRuns(**bundle.calibration.runs)
        check_array("flat_after", runs.flat_after, np.int32, (len(bundle.channels),))
    except (ShapeError, TypeError) as error:
        raise BundleError(
            f"{bundle.label}: the bounds of runs do not fit the channels ({error}); train again"
        ) from error
    return runs


def fit_runs(series: Iterable[NDArray[np.float32]], *, period_s: float) -> ChannelRuns:
    """Learn the bounds from clean data; `period_s` 0 = unknown, and no time is asked for.

    Shapes: each series float32 [T, C] in time order, NaN = missing.
    """
    held = list(series)
    seen = np.sum([np.isfinite(values).sum(axis=0) for values in held], axis=0)
    runs, holes = (np.max([of(values) for values in held], axis=0) for of in (_longest_runs, _longest_holes))
    rows = sum(map(len, held))
    multiples = np.where(runs >= _LEAST_ROWS, _RESTING_MULTIPLE, _MULTIPLE)
    flat_after = _bounds(multiples, runs, of=seen, period_s=period_s, least_s=_LEAST_FLAT_S)
    missing_after = _bounds(_MULTIPLE, holes, of=rows, period_s=period_s, least_s=_LEAST_MISSING_S)
    has_values = (seen > 0).astype(np.int32)
    return ChannelRuns(flat_after * has_values, missing_after * has_values)


def _bounds(
    multiple: NDArray[np.int64] | int,
    longest: NDArray[np.int64],
    *,
    of: NDArray[np.int64] | int,
    period_s: float,
    least_s: float,
) -> NDArray[np.int32]:
    least = max(_LEAST_ROWS, math.ceil(min(least_s / period_s, _MOST_ROWS)) if period_s > 0 else 0)
    bounds = np.clip(multiple * longest, least, _MOST_ROWS)
    return np.where(longest <= np.asarray(of) * _RESTING_SHARE, bounds, 0).astype(np.int32)


def _longest_runs(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the longest run of each channel's values that are equal up to rounding; the missing are passed over."""
    longest = np.zeros(values.shape[1], np.int64)
    for c, column in enumerate(values.T):
        kept = column[np.isfinite(column)]
        if len(kept):
            moves = np.flatnonzero(np.abs(np.diff(kept)) > _ROUNDING * np.abs(kept[:-1]))
            longest[c] = np.diff(moves, prepend=-1, append=len(kept) - 1).max()
    return longest


def _longest_holes(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the most samples in a row in which each channel has no value."""
    longest = np.zeros(values.shape[1], np.int64)
    for c, column in enumerate(values.T):
        there = np.flatnonzero(np.isfinite(column))
        longest[c] = np.diff(there, prepend=-1, append=len(column)).max() - 1
    return longest
