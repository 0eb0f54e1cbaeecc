"""Streams brought to the places where faults begin, and copies of them that go on with a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.power.places import Place
from streamlstm.evaluation.recording import Recording, event_times
from streamlstm.evaluation.replay import replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector

__all__ = ["Copy", "Opened", "StateArrays", "follow", "run_up"]

StateArrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Those of `StreamStates.export`, a row for each place."""

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
    begins = np.array([max(rows - place.row, 0) for place in places])
    values = np.full((rows, len(places), len(bundle.channels)), np.nan, np.float32)
    for n, place in enumerate(places):
        values[begins[n] :, n] = series[place.stream_id][max(place.row - rows, 0) : place.row]
    came = np.arange(rows)[:, None] >= begins
    firsts = np.array([place.row - rows for place in places])
    for _ in replay(detector, _interleaved(bundle, values, firsts, came), alerts=None):
        pass
    return detector.states.export()


def follow(
    bundle: ModelBundle, places: Sequence[Place], states: StateArrays, copies: Sequence[Copy]
) -> list[Opened | None]:
    """Score copies from the states of their places on; return the first alert of each, None where none opens.

    The alarm level is the budget's, as for streams that have grown old.
    """
    old = replace(bundle, calibration=replace(bundle.calibration, rows=_MANY_ROWS))
    detector = Detector(old, max_streams=max(len(copies), 16))
    origins = np.array([copy.place for copy in copies])
    detector.states.restore([str(n) for n in range(len(copies))], {name: one[origins] for name, one in states.items()})
    values = np.stack([copy.values for copy in copies], axis=1)
    firsts = np.array([places[copy.place].row for copy in copies])
    came = np.ones(values.shape[:2], np.bool_)
    opened: list[Opened | None] = [None] * len(copies)
    for chunk in replay(detector, _interleaved(bundle, values, firsts, came), alerts=AlertPolicy()):
        for row, alert in chunk.alerts:
            n = int(alert.stream_id)
            if opened[n] is None:
                opened[n] = Opened((chunk.begin + row) // len(copies), alert.channels[0].name)
    return opened


def _interleaved(
    bundle: ModelBundle, values: NDArray[np.float32], firsts: NDArray[np.int64], came: NDArray[np.bool_]
) -> Recording:
    """Return streams side by side as they arrive, row after row.

    Shapes: values float32 [T, B, C]; firsts int64 [B], which row of its series a stream's first is; came bool [T, B],
    the rows that there are.
    """
    rows, streams = came.shape
    at, stream = np.nonzero(came)
    times = event_times(bundle, int(firsts.max()) + rows)
    return Recording(
        source="power",
        stream_ids=[str(n) for n in stream.tolist()],
        event_time_ms=times[firsts[stream] + at],
        values=values[at, stream],
        rows=at * streams + stream,
    )
