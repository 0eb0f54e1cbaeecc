"""Everything one model remembers of its streams: rows in arrays, one a stream, in slots."""

from __future__ import annotations

import math
import mmap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError, SnapshotError, UsageError
from streamlstm.kernels import BASE_SURPRISE, NEVER, NetworkWeights, StateArena
from streamlstm.model.network import Architecture

__all__ = ["StateDtype", "StatePiece", "StreamStates"]

StateDtype: TypeAlias = Literal["float32", "float16"]
"""How the network's states are kept between samples; computed with are float32."""

_FIRST_CAPACITY = 16


@dataclass(frozen=True, slots=True)
class StatePiece:
    """An array in every stream's state row. Snapshots hold it under its name, so the name is unique and stays.

    It is zero until a stream's first sample. One that `may_be_absent` from a snapshot begins there again.
    """

    dtype: type[np.generic]
    shape: tuple[int, ...] = ()
    may_be_absent: bool = False


class StreamStates:
    """Slots of streams and the arrays behind them; S = capacity.

    Shapes: arena [S, state_size]; last_time int64 [S]; last float32 [S, C]; ages, holes int64 [S]; levels, kept_levels,
    excesses, cluster_sums float64 [S]; clusters, waits, guards, held int64 [S]; pieces [S, ...], those of the branches
    of the score, by name. A slot is cleared when a stream claims it.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: NetworkWeights,
        pieces: Mapping[str, StatePiece] | None = None,
        *,
        max_streams: int,
        threads: int = 1,
        state_dtype: StateDtype = "float32",
    ) -> None:
        self.architecture = architecture
        self.max_streams = max_streams
        self.slots: dict[str, int] = {}
        self._free: list[int] = []
        self._memory: dict[str, mmap.mmap] = {}
        self._capacity = 0
        self._shapes = _OWN | {"last": StatePiece(np.float32, (architecture.channels,))}
        if clash := self._shapes.keys() & (pieces or {}).keys():
            raise ShapeError(f"pieces: expected names that are free, got {min(clash)!r}")
        self._shapes |= pieces or {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self.arena = StateArena(weights, _FIRST_CAPACITY, threads=threads, state_dtype=state_dtype)
        self._grow(_FIRST_CAPACITY)

    @property
    def pieces(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of all streams by name, those of the branches among them."""
        return self._arrays

    @property
    def last_time(self) -> NDArray[np.int64]:
        """Event time of each stream's last sample; NEVER before the first."""
        return self._arrays["last_time"]

    @property
    def last(self) -> NDArray[np.float32]:
        """Last observed values, standardised."""
        return self._arrays["last"]

    @property
    def ages(self) -> NDArray[np.int64]:
        """Samples since the stream began."""
        return self._arrays["ages"]

    @property
    def holes(self) -> NDArray[np.int64]:
        """Samples without a value that came last; below 0 those that are left to settle."""
        return self._arrays["holes"]

    @property
    def levels(self) -> NDArray[np.float64]:
        """Each stream's own alarm level."""
        return self._arrays["levels"]

    @property
    def excesses(self) -> NDArray[np.float64]:
        """Mean excess over it."""
        return self._arrays["excesses"]

    @property
    def learning(self) -> dict[str, NDArray[Any]]:
        """All that is learnt of streams: levels, excesses, and what these wait for."""
        return {name: self._arrays[name] for name in _LEARNING}

    def __len__(self) -> int:
        return len(self.slots)

    def slots_of(self, stream_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the slot of each stream; a new stream claims one.

        Raises: UsageError when `max_streams` are held.
        """
        known = self.slots
        try:
            return np.fromiter((known[i] for i in stream_ids), np.int64, count=len(stream_ids))
        except KeyError:
            claimed = []
            try:
                for stream_id in stream_ids:
                    if stream_id not in known:
                        claimed.append(self._claim())
                        known[stream_id] = claimed[-1]
            finally:
                self._clear(np.array(claimed, np.int64))
            return np.fromiter((known[i] for i in stream_ids), np.int64, count=len(stream_ids))

    def has_room(self, new_streams: int) -> bool:
        """Say whether that many new streams can be claimed."""
        return len(self.slots) + new_streams <= self.max_streams

    def release(self, stream_ids: Iterable[str]) -> None:
        """Forget streams; their slots are free again."""
        self._free.extend(self.slots.pop(i) for i in stream_ids)

    def release_older_than(self, event_time_ms: int) -> int:
        """Forget the streams whose last sample is older; return how many."""
        gone = [i for i, slot in self.slots.items() if self.last_time[slot] < event_time_ms]
        self.release(gone)
        return len(gone)

    def export(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of all streams, in the order of `slots`."""
        slots = self.in_order()
        arrays: dict[str, NDArray[np.generic]] = {"network": self.arena.export(slots)}
        for name, array in self._arrays.items():
            arrays[name] = array[slots]
        return arrays

    def restore(self, stream_ids: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Take over what `export` returned, into these empty states.

        Raises: SnapshotError when an array does not fit this architecture.
        """
        slots = self.slots_of(stream_ids)
        arrays = _completed(arrays)
        for name, own in self._arrays.items():
            came = arrays.get(name)
            if came is None and self._shapes[name].may_be_absent:
                continue
            expected = (len(slots), *own.shape[1:])
            if came is None or came.shape != expected or came.dtype != own.dtype:
                got = "nothing" if came is None else f"{came.dtype} {list(came.shape)}"
                raise SnapshotError(f"state array {name}: expected {own.dtype} {list(expected)}, got {got}")
            _need_possible(name, came)
        try:
            self.arena.load(slots, np.asarray(arrays["network"], np.float32))
        except (KeyError, ShapeError) as error:
            raise SnapshotError(f"state array network: {error}") from error
        for name, own in self._arrays.items():
            own[slots] = arrays.get(name, 0)  # only what may be absent still is

    def follow(self, other: StreamStates, last: NDArray[np.float32]) -> None:
        """Claim the streams of `other`, into these empty states, and begin them anew.

        Taken over are what does not depend on the weights: times, and what is learnt of the stream's surprises. `last`
        [N, C] are its last values in the standardised units of this model, in the order of its slots.
        """
        slots, theirs = self.slots_of(list(other.slots)), other.in_order()
        self.last_time[slots] = other.last_time[theirs]
        self.last[slots] = last
        for name, learnt in other.learning.items():
            self._arrays[name][slots] = learnt[theirs]

    def begin_anew(self, slots: Sequence[int], *, kept: Collection[str]) -> None:
        """Begin streams anew; their last times and the pieces named in `kept` stay."""
        self.arena.reset(np.array(slots, np.int64))
        for name, array in self._arrays.items():
            if name != "last_time" and name not in kept:
                array[slots] = _FIRST.get(name, 0)

    def in_order(self) -> NDArray[np.int64]:
        """Return the slots of all streams, in the order of `slots`."""
        return np.fromiter(self.slots.values(), np.int64, count=len(self.slots))

    def _claim(self) -> int:
        if self._free:
            return self._free.pop()
        slot = len(self.slots)
        if slot >= self.max_streams:
            raise UsageError(f"{self.max_streams} streams are held already; raise state.max_streams to take more")
        if slot >= self._capacity:
            self._grow(min(2 * self._capacity, self.max_streams))
        return slot

    def _grow(self, capacity: int) -> None:
        """Make room for more streams. What exists is not copied: its pages are mapped to where there is more room."""
        if capacity > self.arena.capacity:
            self.arena.grow(capacity)
        for name, piece in self._shapes.items():
            row_bytes = math.prod(piece.shape) * np.dtype(piece.dtype).itemsize
            self._arrays.pop(name, None)  # a mapping that an array views cannot grow
            try:
                if name in self._memory:
                    self._memory[name].resize(capacity * row_bytes)
                else:
                    self._memory[name] = mmap.mmap(-1, capacity * row_bytes, flags=_PRIVATE)
            except OSError as error:
                self._arrays[name] = self._view(name, self._capacity)
                raise MemoryError(f"{capacity:,} streams of {row_bytes:,} bytes ({name})") from error
            self._arrays[name] = self._view(name, capacity)
        self._capacity = capacity

    def _view(self, name: str, capacity: int) -> NDArray[Any]:
        piece = self._shapes[name]
        shape = (capacity, *piece.shape)
        return np.frombuffer(self._memory[name], piece.dtype, math.prod(shape)).reshape(shape)

    def _clear(self, slots: NDArray[np.int64]) -> None:
        self.arena.reset(slots)
        for name, array in self._arrays.items():
            array[slots] = _FIRST.get(name, 0)


_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_OWN = {
    "last_time": StatePiece(np.int64),
    "ages": StatePiece(np.int64),
    "holes": StatePiece(np.int64),
    "levels": StatePiece(np.float64),
    "kept_levels": StatePiece(np.float64),
    "excesses": StatePiece(np.float64),
    "cluster_sums": StatePiece(np.float64),
    "clusters": StatePiece(np.int64),
    "waits": StatePiece(np.int64),
    "guards": StatePiece(np.int64),
    "held": StatePiece(np.int64),
}
_LEARNING = ("levels", "kept_levels", "excesses", "cluster_sums", "clusters", "waits", "guards", "held")
_FIRST = {"last_time": NEVER, "levels": BASE_SURPRISE, "kept_levels": BASE_SURPRISE, "excesses": 1.0}


_LEAST: Mapping[str, float] = {
    "levels": BASE_SURPRISE,
    "kept_levels": BASE_SURPRISE,
    "excesses": 1.0,
    **dict.fromkeys(("ages", "clusters", "waits", "guards", "held"), 0),
}
"""Below which the kernels never write. How high they went has changed with releases."""


def _need_possible(name: str, array: NDArray[np.generic]) -> None:
    """Raise SnapshotError where an array of a state holds what no stream can have come to."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise SnapshotError(f"state array {name}: expected finite numbers")
    least = _LEAST.get(name)
    if least is not None and (lowest := array.astype(np.float64).min(initial=np.inf)) < least:
        raise SnapshotError(f"state array {name}: expected {least:g} or more, got {lowest:g}")


def _completed(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Add what snapshots of 0.2.0 and before do not hold: their streams are taken as far from any alarm or hole."""
    if "kept_levels" in arrays or "levels" not in arrays:
        return dict(arrays)
    streams = len(arrays["levels"])
    added = {name: np.zeros(streams, _OWN[name].dtype) for name in (*_LEARNING, "holes") if name not in arrays}
    return {**arrays, **added, "kept_levels": arrays["levels"]}
