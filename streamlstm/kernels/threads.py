"""One thread for BLAS while our products run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

__all__ = ["single_thread"]

_controller: ThreadpoolController | None = None
_depth = 0


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep BLAS to one thread.

    The products are small: a second thread costs more in waiting than it saves, and collapses when the other core is
    busy. And with one thread sums keep one order, so results keep their bits. Re-entrant: only the outermost call
    switches.
    """
    global _controller, _depth
    if _depth:
        yield
        return
    if _controller is None:
        _controller = ThreadpoolController()
    _depth += 1
    try:
        with _controller.limit(limits=1, user_api="blas"):
            yield
    finally:
        _depth -= 1
