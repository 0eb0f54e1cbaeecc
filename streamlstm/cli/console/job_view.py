"""A job as the terminal shows it: notes on standard error, bars of what takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamlstm.cli.console.output import print_note
from streamlstm.cli.console.progress import ProgressBar
from streamlstm.jobs.observer import SearchProgress
from streamlstm.training.trainer import TrainingProgress

__all__ = ["JobView"]


class JobView:
    """The observer of a training at the terminal. `reached` is the last update shown; None before training began."""

    def __init__(self) -> None:
        self.reached: int | None = None

    def note(self, sentence: str) -> None:
        """Print a sentence."""
        print_note(f"  {sentence}")

    @contextmanager
    def training(self, name: str) -> Iterator[Callable[[TrainingProgress], None]]:
        """Show losses and speed beside the bar."""
        self.reached = 0
        with ProgressBar(name) as bar:

            def show(at: TrainingProgress) -> None:
                self.reached = at.update
                losses = f"epoch {at.epoch}, loss {at.loss:.4f}, validation {at.validation_loss:.4f}"
                detail = f"{losses}, {at.rows_per_second / 1000:,.0f}k rows/s"
                bar.update(at.update, at.of, detail, seconds_left=at.seconds_left)

            yield show

    @contextmanager
    def progress(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Show how much is done."""
        with ProgressBar(name) as bar:
            yield bar.update

    @contextmanager
    def search(self) -> Iterator[Callable[[SearchProgress], None]]:
        """Show the trial, and the lowest loss so far."""
        with ProgressBar("tune") as bar:

            def show(at: SearchProgress) -> None:
                best = "" if at.lowest_loss is None else f"best {at.lowest_loss:.4f}, "
                detail = f"trial {at.trial + 1}, {best}validation {at.training.validation_loss:.4f}"
                updates = at.training.of
                bar.update(at.trial * updates + at.training.update, at.trials * updates, detail)

            yield show
