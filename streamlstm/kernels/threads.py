"""One thread for BLAS while our products run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController

__all__ = ["single_thread"]

_lock = Lock()
_holders = 0
_limit = ExitStack()
_controller: ThreadpoolController | None = None


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep BLAS to one thread.

    The products are small: a second thread costs more in waiting than it saves, and collapses when the other core is
    busy. And with one thread sums keep one order, so results keep their bits. The setting is the process's: the first
    to enter makes it, the last to leave takes it back, whichever threads they are.
    """
    global _controller, _holders
    with _lock:
        _holders += 1
        if _holders == 1:
            _controller = _controller or ThreadpoolController()
            _limit.enter_context(_controller.limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limit.close()
