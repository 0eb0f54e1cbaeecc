"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere. Written to standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["ProgressBar"]

_PLAIN_EVERY_S = 5.0


class ProgressBar:
    """A context that shows how far a piece of work has come."""

    def __init__(self, what: str) -> None:
        self._what = what
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn(f"{what:<8}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task(what, total=None, detail="")
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int, detail: str = "", *, seconds_left: float | None = None) -> None:
        """Say that `done` of `total` is done; `detail` follows the bar, which reckons the time left by itself."""
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, detail=detail)
        elif time.monotonic() - self._said_at >= _PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            if seconds_left is not None:
                detail += f", {seconds_left:,.0f} s left"
            print(
                f"{self._what}: {done:,} of {total:,} ({done / max(total, 1):.0%}) {detail}".rstrip(), file=sys.stderr
            )
