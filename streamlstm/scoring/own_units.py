"""A new stream's own units: where its values lie and how much they move, where that is nothing like the fleet.

A stream that reads a constant more than those of the training, or in another unit, is an anomaly at every sample to a
model of theirs. While it is young it is held, at three ages, against windows as long of the streams that calibrate:

    location    mean of z                                 usual where windows of the training lie, and a margin
    movement    root mean square of z - z before          usual where theirs is, and a margin

A stream within them stays in the model's units, to the bit. Of one that is not, channels are scored in their own from
there on, x = factor z + shift: one that moves otherwise is made to move as the middle window does, and if one lies
elsewhere, all are put about the middle of the windows' means, since channels depend on each other. The stream then
begins anew: state, level, warm-up. Later ages decide again from all samples so far, and the last one for good.

What must not be learnt is not: no stream like those of the training ever leaves the model's units, and none learns
after the last age, neither drift nor a lasting fault. A channel that hardly moves is stuck, not new. A gap changes
nothing, and a stream that is forgotten is new again. A stream that is faulty from its first sample on, farther out than
anything in the training, alarms first, and then is taken for what it seems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import follow_young
from streamlstm.kernels.faces import check_array
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.branches.protocol import StateArrays
from streamlstm.scoring.state import StatePiece, StreamStates

__all__ = ["OWN_PIECES", "OwnUnits", "own_units_of"]

_MARGIN, _LOCATION_MARGIN = 1.25, 0.5
"""Of half the range of means, and in deviations. Windows of so few streams do not show all that is usual, and a fault
of five deviations in a tenth of the samples is no reason."""
_MOVEMENT_MARGIN = 1.4
"""A jump among the first samples, which is capped, passes for usual."""
_STUCK = 16.0
"""A channel that moves less than the quietest window by more than this factor is stuck."""
_LARGEST_FACTOR = 16.0
_LEAST_CHANGE, _LEAST_FACTOR_CHANGE = 0.25, 0.1
"""Deviations and share: a smaller change is not worth another warm-up."""
_LEAST_OBSERVED = 0.5

OWN_PIECES = ("own_rows", "own_times", "own_sums", "own_counts", "own_last", "own_units", "own_pending")


class OwnUnits:
    """Follows young streams and decides their units; what it knows of each lies in the pieces of its state.

    `usual` is as `usual_windows` returns it.
    Raises: ShapeError when its arrays do not fit each other, or the channels.
    """

    def __init__(self, usual: Mapping[str, NDArray[np.generic]], standardizer: Standardizer) -> None:
        channels = len(standardizer.mean)
        ages = usual["ages"]
        check_array("usual.ages", ages, np.int64, (None,))
        check_array("usual.locations", usual["locations"], np.float64, (len(ages), 2, channels))
        check_array("usual.movements", usual["movements"], np.float64, (len(ages), 3, channels))
        check_array("usual.caps", usual["caps"], np.float64, (channels,))
        if not len(ages) or ages[0] < 1 or (np.diff(ages.astype(np.int64)) < 1).any():
            raise ShapeError("usual.ages: expected numbers above 0 that rise")
        self._ages = ages.astype(np.int64)
        self._locations = usual["locations"].astype(np.float64)
        self._movements = usual["movements"].astype(np.float64)
        self._caps = usual["caps"].astype(np.float64)
        for array in (self._locations, self._movements, self._caps):
            if not np.isfinite(array).all():
                raise ShapeError("usual: expected finite numbers")
        self._standardizer = standardizer

    @property
    def state(self) -> Mapping[str, StatePiece]:
        """The pieces that the kernel names; its units are factor - 1 and shift."""
        channels = len(self._caps)
        return {
            "own_rows": StatePiece(np.int64, may_be_absent=True),
            "own_times": StatePiece(np.int64, may_be_absent=True),
            "own_sums": StatePiece(np.float64, (2, channels), may_be_absent=True),
            "own_counts": StatePiece(np.int32, (2, channels), may_be_absent=True),
            "own_last": StatePiece(np.float32, (channels,), may_be_absent=True),
            "own_units": StatePiece(np.float32, (2, channels), may_be_absent=True),
            "own_pending": StatePiece(np.uint8, may_be_absent=True),
        }

    def follow(
        self,
        slots: NDArray[np.int64],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        states: StreamStates,
        *,
        forget_after_ms: int,
    ) -> int:
        """Take samples before they are scored; return how many of them have the units that are decided by now."""
        pieces = states.pieces
        return follow_young(
            slots,
            event_time_ms=event_time_ms,
            values=values,
            mean=self._standardizer.mean,
            scale=self._standardizer.scale,
            caps=self._caps,
            ages=self._ages,
            last_time=states.last_time,
            forget_after_ms=forget_after_ms,
            **{name.removeprefix("own_"): pieces[name] for name in OWN_PIECES},
        )

    def decide(self, slots: NDArray[np.int64], states: StreamStates) -> list[int]:
        """Decide the units of the streams among these that have come to an age; return the slots of those that change.

        These streams begin anew before their next sample.
        """
        pieces = states.pieces
        is_pending = pieces["own_pending"][slots] != 0
        if not is_pending.any():
            return []
        pending = np.unique(slots[is_pending]).tolist()
        pieces["own_pending"][pending] = 0
        return [slot for slot in pending if self._decide(slot, pieces)]

    def take_over(self, states: StreamStates, old: StreamStates) -> None:
        """Say which of the streams that came from another model are new to this one: those with units of their own.

        The others are known to be in the model's units, however unlike the windows they are now.
        """
        slots, theirs = states.in_order(), old.in_order()
        units = old.pieces.get("own_units")
        had_units = np.zeros(len(slots), np.bool_) if units is None else units[theirs].any(axis=(1, 2))
        states.pieces["own_rows"][slots] = np.where(had_units, 0, self._ages[-1])

    def have_units(self, slots: NDArray[np.int64], pieces: StateArrays) -> bool:
        """Say whether one of these streams has units of its own: else values need no conversion."""
        return bool(pieces["own_units"][slots].any())

    def to_model(
        self, slots: NDArray[np.int64], values: NDArray[np.float32], pieces: StateArrays
    ) -> NDArray[np.float32]:
        """Return values as the model would have them; those of streams in its units are as they came."""
        rows = self._with_units(slots, pieces)
        factor, shift, mean, scale = self._units(slots[rows], pieces)
        converted = values.copy()
        converted[rows] = (factor * (values[rows].astype(np.float64) - mean) / scale + shift) * scale + mean
        return converted

    def from_model(self, slots: NDArray[np.int64], expected: NDArray[np.float32], pieces: StateArrays) -> None:
        """Put what the model expected into the streams' own units, in place."""
        rows = self._with_units(slots, pieces)
        if len(rows):
            factor, shift, mean, scale = self._units(slots[rows], pieces)
            expected[rows] = ((expected[rows].astype(np.float64) - mean) / scale - shift) / factor * scale + mean

    def _with_units(self, slots: NDArray[np.int64], pieces: StateArrays) -> NDArray[np.int64]:
        return np.flatnonzero(pieces["own_units"][slots].any(axis=(1, 2)))

    def _units(self, slots: NDArray[np.int64], pieces: StateArrays) -> Sequence[NDArray[np.float64]]:
        units = pieces["own_units"][slots].astype(np.float64)
        mean, scale = (one.astype(np.float64) for one in (self._standardizer.mean, self._standardizer.scale))
        return 1.0 + units[:, 0], units[:, 1], mean, scale

    def _decide(self, slot: int, pieces: StateArrays) -> bool:
        """Decide the units of one stream; say whether they are others than before."""
        age = int(pieces["own_rows"][slot])
        step = int(np.searchsorted(self._ages, age))
        sums, counts = pieces["own_sums"][slot], pieces["own_counts"][slot]
        mean = sums[0] / np.maximum(counts[0], 1)
        movement = np.sqrt(sums[1] / np.maximum(counts[1], 1))
        low, high = self._locations[step]
        least, middle, most = self._movements[step]
        half, centre = (high - low) / 2, (high + low) / 2
        is_known = (counts[0] >= _LEAST_OBSERVED * age) & (middle > 0) & (movement > 0) & (movement > least / _STUCK)
        is_scaled = is_known & ((movement < least / _MOVEMENT_MARGIN) | (movement > _MOVEMENT_MARGIN * most))
        is_moved = is_known & (np.abs(mean - centre) > _MARGIN * half + _LOCATION_MARGIN)
        is_moved = is_known & is_moved.any()  # channels depend on each other: where one lies elsewhere, all are centred
        ratio = np.clip(middle / np.where(is_scaled, movement, 1.0), 1 / _LARGEST_FACTOR, _LARGEST_FACTOR)
        factor = np.where(is_scaled, ratio, 1.0)
        shift = np.where(is_scaled | is_moved, np.where(is_moved, centre, mean) - factor * mean, 0.0)
        before = pieces["own_units"][slot].astype(np.float64)
        old_factor, old_shift = 1.0 + before[0], before[1]
        is_other = np.abs(factor * mean + shift - old_factor * mean - old_shift) > _LEAST_CHANGE
        is_other |= np.abs(factor / old_factor - 1.0) > _LEAST_FACTOR_CHANGE
        if not (is_other & is_known).any():
            return False
        pieces["own_units"][slot] = np.where(is_known, (factor - 1.0, shift), before)
        return True


def own_units_of(bundle: ModelBundle) -> OwnUnits | None:
    """Return what decides the units of new streams; None for bundles of earlier releases, or of too few data.

    Raises: BundleError where its numbers do not fit the channels.
    """
    usual = bundle.calibration.usual
    if not usual:
        return None
    try:
        return OwnUnits(usual, bundle.standardizer)
    except KeyError as error:
        raise BundleError(
            f"{bundle.label}: expected numbers {error} of usual windows, got none; train again"
        ) from error
    except ShapeError as error:
        raise BundleError(f"{bundle.label}: usual windows do not fit the channels ({error}); train again") from error
