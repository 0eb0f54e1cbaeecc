"""Which samples a route takes when it may hold no more streams.

A sample of a new stream that finds no room lets go of the streams that have been silent for `forget_after`, in event
time; if there is still no room, it is refused. What happens to a sample follows from the samples before it alone, not
from the batch it came in: those before it are scored first, and then streams are released.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.model_handover import RouteStreams

__all__ = ["admitted_runs"]

_LOOKS = 1000
"""Looking for silent streams takes a pass over all of them: once in a thousandth of the silence is enough."""


def admitted_runs(
    streams: RouteStreams,
    stream_ids: Sequence[str],
    event_time_ms: NDArray[np.int64],
    *,
    forget_after_ms: int,
    refuse: Callable[[int], None],
    counts: Counter[str],
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows to score, run by run; each must be scored before the next is asked for.

    `refuse` is called with each row that finds no room. With a `forget_after_ms` of 0 no stream is released.
    Shapes: event_time_ms int64 [N]; a run int64 [K], ascending.
    """
    states = streams.detector.states
    known = states.slots
    if states.has_room(len(stream_ids)) or states.has_room(len({i for i in stream_ids if i not in known})):
        yield np.arange(len(stream_ids))
        return
    step_ms = max(1, forget_after_ms // _LOOKS)
    run: list[int] = []
    new: set[str] = set()
    oldest_ms = streams.oldest_ms
    for row, (stream_id, time_ms) in enumerate(zip(stream_ids, event_time_ms.tolist(), strict=True)):
        if stream_id not in known and stream_id not in new:
            limit_ms = (time_ms - forget_after_ms) // step_ms * step_ms
            if forget_after_ms and not states.has_room(len(new) + 1) and oldest_ms < limit_ms:
                if run:
                    yield np.array(run)
                run, new = [], set()
                counts["streams_released"] += streams.release_older_than(limit_ms)
                oldest_ms = streams.oldest_ms
            if not states.has_room(len(new) + 1):
                refuse(row)
                continue
            new.add(stream_id)
        run.append(row)
        oldest_ms = min(oldest_ms, time_ms)
    if run:
        yield np.array(run)
