"""Work shared out among processes, which end when the one that asked does."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from streamlstm.errors import StreamLstmError

__all__ = ["in_processes"]

_W = TypeVar("_W")
_R = TypeVar("_R")

_TELL_EVERY_S = 1.0


def in_processes(
    function: Callable[[_W], _R], works: Sequence[_W], *, processes: int, on_wait: Callable[[Sequence[_W]], None]
) -> Iterator[_R]:
    """Yield the results of a function of a module, as they come; `on_wait` is told every second what is worked on.

    When the caller stops, by an exception or an interrupt, the processes are ended.
    Raises: StreamLstmError when one of them dies.
    """
    before = set(active_children())
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    is_done = False
    try:
        waiting: dict[Future[_R], _W] = {pool.submit(function, work): work for work in works}
        while waiting:
            done = wait(waiting, timeout=_TELL_EVERY_S, return_when=FIRST_COMPLETED).done
            for future in done:
                del waiting[future]
                yield future.result()
            on_wait(list(waiting.values())[:processes])  # they are taken in this order
        is_done = True
    except BrokenProcessPool:
        raise StreamLstmError(
            "a process of the evaluation was ended from outside, perhaps for want of memory; use fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=is_done, cancel_futures=True)
        if not is_done:
            for child in set(active_children()) - before:
                child.terminate()


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the one that asked says what happens then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
