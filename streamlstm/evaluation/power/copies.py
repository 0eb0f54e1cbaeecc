"""Streams brought to the places where faults begin, and copies of them that go on with a fault.

They are no recordings, which `replay` scores: streams begin from a state, and leave when their fault is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.power.places import Place
from streamlstm.evaluation.recording import event_times
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.types import Positions, TopicPartition

__all__ = ["Copy", "Opened", "StateArrays", "follow", "run_up"]

StateArrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Those of `StreamStates.export`, a row for each place."""

_ROWS_AT_ONCE = 4096
_NOWHERE = TopicPartition("power", 0)
_MANY_ROWS = 1 << 40
"""As many calibration rows support any budget's alarm level."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A stream that goes on from the state at a place, with a fault or without.

    `place` is the number of the place. Shapes: values float32 [F, C], the rows that are followed.
    """

    place: int
    values: NDArray[np.float32]
    kind: str = ""
    size: float | None = None
    channel: int = -1


@dataclass(frozen=True, slots=True)
class Opened:
    """The first alert of a copy: so many rows after its first row, and the channel that it names first."""

    delay_rows: int
    channel: str


def run_up(
    bundle: ModelBundle, series: Mapping[str, NDArray[np.float32]], places: Sequence[Place], *, rows: int
) -> StateArrays:
    """Score each place's stream from `rows` rows before it, as far as there are so many; return the states there."""
    detector = Detector(bundle, max_streams=max(len(places), 16))
    detector.states.slots_of([str(n) for n in range(len(places))])  # whose order is the places'
    values = np.full((rows, len(places), len(bundle.channels)), np.nan, np.float32)
    for n, place in enumerate(places):
        values[max(rows - place.row, 0) :, n] = series[place.stream_id][max(place.row - rows, 0) : place.row]
    firsts = np.array([place.row - rows for place in places])  # below 0 where there are not so many
    step = max(_ROWS_AT_ONCE // len(places), 1)
    for first in range(0, rows, step):
        part = _side_by_side(bundle, values[first : first + step], firsts + first)
        detector.score([str(lane) for lane in part.lanes], part.event_time_ms, part.values)
    return detector.states.export()


def follow(
    bundle: ModelBundle, places: Sequence[Place], states: StateArrays, copies: Sequence[Copy]
) -> list[Opened | None]:
    """Score copies from the states of their places on; return the first alert of each, None where none opens.

    The alarm level is the budget's, as for streams that have grown old. A copy whose alert has opened is not followed
    any further.
    """
    old = replace(bundle, calibration=replace(bundle.calibration, rows=_MANY_ROWS))
    detector = Detector(old, max_streams=max(len(copies), 16))
    tracker = AlertTracker.of(old, AlertPolicy(), detector.openings)
    origins = np.array([copy.place for copy in copies])
    detector.states.restore([str(n) for n in range(len(copies))], {name: one[origins] for name, one in states.items()})
    values = np.stack([copy.values for copy in copies], axis=1)
    firsts = np.array([places[copy.place].row for copy in copies])
    opened: list[Opened | None] = [None] * len(copies)
    first, left = 0, np.arange(len(copies))
    while first < len(values) and len(left):
        rows = slice(first, first + max(_ROWS_AT_ONCE // len(left), 1))
        part = _side_by_side(bundle, values[rows, left], firsts[left] + first)
        ids = [str(n) for n in left[part.lanes].tolist()]
        scores = detector.score(ids, part.event_time_ms, part.values)
        positions = Positions(_NOWHERE, np.arange(len(ids)))
        for row, alert in tracker.update(ids, part.event_time_ms, part.values, scores, positions):
            n = int(alert.stream_id)
            opened[n] = opened[n] or Opened(first + row // len(left), alert.channels[0].name)
        first, left = rows.stop, np.array([n for n in left.tolist() if opened[n] is None], np.int64)
    return opened


class _Columns(NamedTuple):
    """Samples of streams side by side as they arrive, row after row.

    Shapes: lanes int64 [N], which stream; event_time_ms int64 [N]; values float32 [N, C].
    """

    lanes: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    values: NDArray[np.float32]


def _side_by_side(bundle: ModelBundle, values: NDArray[np.float32], firsts: NDArray[np.int64]) -> _Columns:
    """Return the rows of streams that there are.

    Shapes: values float32 [T, B, C]; firsts int64 [B], which row of its series a stream's first is: those below 0 are
    none.
    """
    numbers = firsts + np.arange(len(values))[:, None]
    at, lanes = np.nonzero(numbers >= 0)
    times = event_times(bundle, int(numbers.max()) + 1)
    return _Columns(lanes, times[numbers[at, lanes]], values[at, lanes])
