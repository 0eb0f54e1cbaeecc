"""Who watches a job. A job prints nothing: it hands sentences and numbers to its observer, who shows them or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from streamlstm.training.trainer import TrainingProgress

__all__ = ["Observer", "SearchProgress"]


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search has come: the trial that is being trained, counted from 0, and the lowest loss so far."""

    trial: int
    trials: int
    lowest_loss: float | None
    training: TrainingProgress


class Observer(Protocol):
    """Told of a job, in the thread that runs it."""

    def note(self, sentence: str) -> None:
        """Take a sentence about what was chosen or done on the way."""

    def training(self, name: str) -> AbstractContextManager[Callable[[TrainingProgress], None]]:
        """Open the view of one training; what it returns is called after every update."""

    def progress(self, name: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Open the view of a piece of work; what it returns is told how much of how much is done."""

    def search(self) -> AbstractContextManager[Callable[[SearchProgress], None]]:
        """Open the view of a search; what it returns is called after every update of every trial."""
