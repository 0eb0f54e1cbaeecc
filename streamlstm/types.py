"""Records and columns that pass between the floors. Frozen; no behaviour beyond construction and how they print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MISSING_TIME_MS",
    "ChannelFindings",
    "GapPolicy",
    "Output",
    "Position",
    "Positions",
    "Record",
    "Scores",
    "Settled",
    "Status",
    "TopicPartition",
]

MISSING_TIME_MS = -1
"""Time stamp of a record that carries none."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Position(NamedTuple):
    """Where a record lies in the input: topic, partition, offset."""

    topic: str
    partition: int
    offset: int


class Positions(Sequence[Position]):
    """Where the samples of one partition lie: a `Position` is made for the rows that are looked at only.

    Shapes: offsets int64 [N].
    """

    def __init__(self, partition: TopicPartition, offsets: NDArray[np.int64]) -> None:
        self._partition = partition
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, row: int) -> Position: ...
    @overload
    def __getitem__(self, row: slice) -> Positions: ...
    def __getitem__(self, row: int | slice) -> Position | Positions:
        if isinstance(row, slice):
            return Positions(self._partition, self._offsets[row])
        return Position(*self._partition, int(self._offsets[row]))


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the input log, as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = MISSING_TIME_MS
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One record to publish. `topic` is the full name."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Status(IntEnum):
    """What a score rests on. Only `ready` and `imputed` samples have a score, where they hold a value."""

    READY = 0
    WARMING = 1
    """The stream is younger than the model's warm-up, or settles after a hole in which no sample had a value."""
    IMPUTED = 2
    """At least one channel was missing and was carried forward from its last value."""
    GAP = 3
    """First sample after a silence longer than `reset_after`: the state starts again from zero."""
    LATE = 4
    """Not newer than a sample of the stream that was already scored; left out."""

    @property
    def label(self) -> str:
        """Name in score records."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class GapPolicy:
    """When a stream's state is too old to go on with. Event time only."""

    reset_after_ms: int = 0
    """A silence longer than this resets the stream's state; 0 means never."""
    forget_after_ms: int = 0
    """After a silence longer than this a stream is as one never seen, and its row may be released; 0 means never."""
    silent_after_ms: int = 0
    """After a silence longer than this, while others of its partition speak, an alert says so; 0 means never."""


class _Columns:
    """Dataclasses of arrays: equal where every column is, row by row, and unknown is as unknown."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))  # type: ignore[arg-type]  # its subclasses are dataclasses
        return all(
            np.array_equal(one, two, equal_nan=True) if isinstance(one, np.ndarray) else one == two
            for one, two in pairs
        )


@dataclass(frozen=True, slots=True, eq=False)
class Settled(_Columns):
    """Verdicts that samples bring on earlier ones of their streams, one row a sample that brings.

    A row's verdict is on the sample of its stream at `event_time_ms`, which also had `score` and `mark`, a number of
    the caller's.
    Shapes: settled, score float64 [N], NaN = the sample brings none; event_time_ms, mark int64 [N], then 0.
    Units: settled 1.0 = the mean surprise of the period from the sample on is that of an alarm.
    """

    settled: NDArray[np.float64]
    score: NDArray[np.float64]
    event_time_ms: NDArray[np.int64]
    mark: NDArray[np.int64]

    @classmethod
    def none(cls, rows: int) -> Settled:
        """Make columns of so many samples that bring nothing."""
        return cls(np.full(rows, np.nan), np.full(rows, np.nan), np.zeros(rows, np.int64), np.zeros(rows, np.int64))

    def put(self, rows: NDArray[np.int64], found: Settled) -> None:
        """Fill in some rows."""
        self.settled[rows], self.score[rows] = found.settled, found.score
        self.event_time_ms[rows], self.mark[rows] = found.event_time_ms, found.mark

    def take(self, rows: NDArray[np.int64]) -> Settled:
        """Return some rows."""
        return Settled(self.settled[rows], self.score[rows], self.event_time_ms[rows], self.mark[rows])


@dataclass(frozen=True, slots=True, eq=False)
class ChannelFindings(_Columns):
    """Where channels have kept one value, or had none, for longer than usual: sparse, in the order of the samples.

    Shapes: begun int64 [A], rows with which a stream begins, or begins anew; rows, channels int64 [E]; kinds uint8 [E]
    (`kernels.FLAT`, `kernels.MISSING`); since_ms int64 [E], when the run or hole began.
    """

    begun: NDArray[np.int64]
    rows: NDArray[np.int64]
    channels: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    since_ms: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> ChannelFindings:
        """Return those of some rows, numbered anew. Shapes: rows int64 [M], ascending."""
        begun, kept = (np.isin(own, rows) for own in (self.begun, self.rows))
        return ChannelFindings(
            begun=np.searchsorted(rows, self.begun[begun]),
            rows=np.searchsorted(rows, self.rows[kept]),
            channels=self.channels[kept],
            kinds=self.kinds[kept],
            since_ms=self.since_ms[kept],
        )

    @classmethod
    def joined(cls, parts: Sequence[tuple[int, ChannelFindings]]) -> ChannelFindings:
        """Join those of chunks, each with the row that it begins with."""
        if len(parts) == 1 and parts[0][0] == 0:
            return parts[0][1]
        return cls(
            begun=np.concatenate([part.begun + first for first, part in parts]),
            rows=np.concatenate([part.rows + first for first, part in parts]),
            channels=np.concatenate([part.channels for _, part in parts]),
            kinds=np.concatenate([part.kinds for _, part in parts]),
            since_ms=np.concatenate([part.since_ms for _, part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scores(_Columns):
    """Columns of scores, one row a sample, in the order the samples came.

    Shapes: score, p_value float64 [N], NaN = none; status uint8 [N] (Status); expected, contribution float32 [N, C].
    `settled` holds the verdicts that these samples bring on earlier ones, where the detector gives any.
    Units: score 1.0 = the alert threshold; expected is in the channel's own unit; contributions of a row add up to 1.
    `findings` is None where the model knows nothing of how long its channels rest.
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    status: NDArray[np.uint8]
    expected: NDArray[np.float32]
    contribution: NDArray[np.float32]
    settled: Settled | None = None
    findings: ChannelFindings | None = None

    def take(self, rows: NDArray[np.int64]) -> Scores:
        """Return some rows. Shapes: rows int64 [M], ascending."""
        return Scores(
            self.score[rows],
            self.p_value[rows],
            self.status[rows],
            self.expected[rows],
            self.contribution[rows],
            None if self.settled is None else self.settled.take(rows),
            None if self.findings is None else self.findings.take(rows),
        )

    def __repr__(self) -> str:
        codes, counts = np.unique(self.status, return_counts=True)
        status = ", ".join(f"{count:,} {Status(code).label}" for code, count in zip(codes, counts, strict=True))
        text = f"<Scores of {self.expected.shape[0]:,} x {self.expected.shape[1]:,} values; status: {status or 'none'}"
        if np.isnan(self.score).all():
            return f"{text}\n no scores>"
        highest = int(np.nanargmax(self.score))
        alarming = int((self.score >= 1.0).sum())  # NaN is not
        return f"{text}\n 1.0 or more: {alarming:,}; highest: {self.score[highest]:.3g} in row {highest:,}>"
