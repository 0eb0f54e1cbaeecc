"""Slots of streams: what a new one begins with, who has room, who is forgotten, and what is refused on the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamlstm.errors import ShapeError, SnapshotError, UsageError
from streamlstm.kernels import BASE_SURPRISE, NEVER
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.forward import Forward
from streamlstm.scoring.state import StatePiece, StreamStates


def states_of(bundle: ModelBundle, *, max_streams: int = 100, pieces: Any = None) -> StreamStates:
    weights = Forward(bundle.network, bundle.standardizer).weights
    return StreamStates(bundle.network.architecture, weights, pieces, max_streams=max_streams)


def mark(states: StreamStates, slots: Any) -> None:
    """Give every stream numbers of its own."""
    for number, array in enumerate(states.pieces.values(), 1):
        array[slots] = (100 * number + np.arange(len(slots))).reshape(-1, *[1] * (array.ndim - 1))


def test_a_slot_begins_anew_whoever_had_it_and_what_others_hold_survives_growth(tiny_bundle: ModelBundle) -> None:
    states = states_of(tiny_bundle, pieces={"rows": StatePiece(np.float32, (2, 3))})
    mark(states, states.slots_of([f"s{n}" for n in range(16)]))
    before = states.export()
    states.slots_of([f"t{n}" for n in range(40)])
    for name, array in states.export().items():
        assert np.array_equal(array[:16], before[name]), name
    states.release(["s3"])
    (slot,) = states.slots_of(["new"])
    assert slot == 3
    assert (states.last_time[slot], states.levels[slot], states.excesses[slot]) == (NEVER, BASE_SURPRISE, 1.0)
    assert states.ages[slot] == 0 and not states.last[slot].any() and not states.pieces["rows"][slot].any()


def test_there_is_room_for_as_many_streams_as_are_allowed(tiny_bundle: ModelBundle) -> None:
    states = states_of(tiny_bundle, max_streams=18)
    states.slots_of([f"s{n}" for n in range(16)])
    assert [states.has_room(more) for more in (0, 2, 3)] == [True, True, False]
    states.slots_of(["a", "b"])
    with pytest.raises(UsageError, match=r"18 streams are held already; raise state\.max_streams"):
        states.slots_of(["c"])
    assert len(states) == 18


def test_streams_older_than_a_time_are_forgotten(tiny_bundle: ModelBundle) -> None:
    states = states_of(tiny_bundle)
    states.last_time[states.slots_of(["old", "same", "young"])] = [999, 1000, 1001]
    assert states.release_older_than(1000) == 1
    assert list(states.slots) == ["same", "young"]


def test_states_go_there_and_back_and_what_does_not_fit_is_refused(tiny_bundle: ModelBundle) -> None:
    states = states_of(tiny_bundle)
    slots = states.slots_of(["a", "b", "c"])
    mark(states, slots)
    saved = states.export()
    again = states_of(tiny_bundle)
    again.slots_of([])
    again.restore(["a", "b", "c"], saved)
    for name, array in again.export().items():
        assert np.array_equal(array, saved[name]), name
    ages = saved["ages"].copy()
    ages[1] = -1
    for change, message in (
        ({"ages": ages}, "state array ages: expected 0 or more, got -1"),
        ({"levels": saved["levels"][:2]}, r"state array levels: expected float64 \[3\], got float64 \[2\]"),
        ({"last": saved["last"].astype(float)}, r"state array last: expected float32 \[3, 2\], got float64 \[3, 2\]"),
        ({"network": saved["network"][:, 1:]}, "state array network: "),
    ):
        with pytest.raises(SnapshotError, match=message):
            states_of(tiny_bundle).restore(["a", "b", "c"], saved | change)
    with pytest.raises(SnapshotError, match=r"state array excesses: expected float64 \[3\], got nothing"):
        states_of(tiny_bundle).restore(
            ["a", "b", "c"], {name: array for name, array in saved.items() if name != "excesses"}
        )
    states_of(tiny_bundle).restore([], {name: array[:0] for name, array in saved.items()})


def test_another_model_goes_on_with_times_and_alarm_levels_only(tiny_bundle: ModelBundle) -> None:
    old, new = states_of(tiny_bundle), states_of(tiny_bundle)
    mark(old, old.slots_of(["gone", "a", "b"]))
    old.release(["gone"])
    new.follow(old, np.array([[1, 2], [3, 4]], np.float32))
    slots, theirs = new.slots_of(["a", "b"]), old.slots_of(["a", "b"])
    for name in ("last_time", "levels", "excesses"):
        assert np.array_equal(new.pieces[name][slots], old.pieces[name][theirs]), name
    assert new.last[slots].tolist() == [[1, 2], [3, 4]]
    assert new.ages[slots].tolist() == [0, 0]


def test_a_piece_has_a_name_of_its_own(tiny_bundle: ModelBundle) -> None:
    with pytest.raises(ShapeError, match="pieces: expected names that are free, got 'ages'"):
        states_of(tiny_bundle, pieces={"ages": StatePiece(np.int64)})
