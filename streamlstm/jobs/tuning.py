"""The search for options before a training: trials are written to a table as they come, and read from it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlstm.errors import DataError
from streamlstm.jobs.observer import Observer, SearchProgress
from streamlstm.training.plan import Plan
from streamlstm.training.trainer import TrainingProgress
from streamlstm.training.trials import Space, Trial, identity_of, read_trials, write_trials
from streamlstm.training.tuning import Search, search

__all__ = ["SearchOptions", "find_options"]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What is searched, and in how many trials."""

    space: Space
    trials: int
    seed: int


def find_options(
    options: SearchOptions,
    make: Callable[[dict[str, Any]], Plan[Any, Any]],
    observer: Observer,
    *,
    table: Path,
    is_resumed: bool,
) -> dict[str, Any]:
    """Search, and return the best options. The table of trials is written anew after each.

    Ctrl-C ends the search, and the best so far is taken; where there is none yet, it ends the job.
    Raises: UsageError when optuna is missing, or nothing is left to search; DataError when no trial came to its end.
    """
    space, trials = options.space, options.trials
    identity = identity_of(make({}), seed=options.seed)
    known = read_trials(table, space, identity=identity) if is_resumed else []
    if known:
        observer.note(f"{min(len(known), trials)} trial(s) of {table} are known already and not trained again")
    elif is_resumed:
        observer.note(f"no trials of this search in {table}: it begins anew")
    done: list[Trial] = []
    with observer.search() as show:

        def on_progress(number: int, at: TrainingProgress) -> None:
            losses = [trial.validation_loss for trial in done if trial.state == "complete"]
            show(SearchProgress(number, trials, min(losses, default=None), at))

        def on_trial(trial: Trial) -> None:
            done.append(trial)
            write_trials(table, done, space, identity=identity)

        found = search(
            make, space, trials=trials, seed=options.seed, known=known, on_trial=on_trial, on_progress=on_progress
        )
    return _best(found, table, observer)


def _best(found: Search, table: Path, observer: Observer) -> dict[str, Any]:
    best = found.best
    if best is None and found.is_interrupted:
        observer.note("interrupted before any trial was finished")
        raise KeyboardInterrupt
    if best is None:
        raise DataError(f"tune: expected a trial that finishes, got none of {len(found.trials)}; see {table}")
    count = f"{len(found.trials)} trial(s)"
    if found.is_interrupted:
        count += ", then interrupted"
    first = found.trials[0]
    was = f"; {first.validation_loss:.4f} as it would be without" if first.state == "complete" else ""
    options = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in best.options.items()
    )
    observer.note(f"best of {count}: {options} (validation loss {best.validation_loss:.4f}{was})")
    return dict(best.options)
