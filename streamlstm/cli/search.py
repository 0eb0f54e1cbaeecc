"""`train --tune N`: which options are searched, and what is said and written of the search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlstm.cli.console.output import tell
from streamlstm.cli.console.progress import Progress
from streamlstm.config import TrainConfig
from streamlstm.errors import DataError
from streamlstm.training.plan import Plan
from streamlstm.training.trainer import TrainingProgress
from streamlstm.training.trials import Choice, Range, Space, Trial, identity_of, read_trials, write_trials
from streamlstm.training.tuning import Search, search

__all__ = ["search_options"]


def search_options(
    config: TrainConfig, make: Callable[[dict[str, Any]], Plan], *, table: Path, is_resumed: bool
) -> dict[str, Any]:
    """Search as `tune` says, and return the best options. The table of trials is written anew after each.

    Ctrl-C ends the search, and the best so far is taken; where there is none yet, it ends the command.
    Raises: UsageError when optuna is missing, or nothing is left to search; DataError when no trial came to its end.
    """
    tune, seed = config.tune, config.training.seed
    assert tune is not None
    space = _space(config)
    identity = identity_of(make({}), seed=seed)
    known = read_trials(table, space, identity=identity) if is_resumed else []
    if known:
        tell(f"  {min(len(known), tune.trials)} trial(s) of {table} are not trained again")
    elif is_resumed:
        tell(f"  no trials of this search in {table}: it begins anew")
    done: list[Trial] = []
    with Progress("tune") as progress:

        def on_progress(number: int, at: TrainingProgress) -> None:
            losses = [trial.validation_loss for trial in done if trial.state == "complete"]
            best = f"best {min(losses):.4f}, " if losses else ""
            detail = f"trial {number + 1}, {best}validation {at.validation_loss:.4f}"
            progress.update(number * at.of + at.update, tune.trials * at.of, detail)

        def on_trial(trial: Trial) -> None:
            done.append(trial)
            write_trials(table, done, space, identity=identity)

        found = search(
            make, space, trials=tune.trials, seed=seed, known=known, on_trial=on_trial, on_progress=on_progress
        )
    return _best(found, table)


def _space(config: TrainConfig) -> Space:
    """Return what is searched: what `model` and `training` have set is not."""
    tune, shape, training = config.tune, config.model, config.training
    assert tune is not None
    space: dict[str, Choice | Range] = {
        "hidden": Choice(tune.hidden),
        "layers": Choice(tune.layers),
        "cell": Choice(tune.cell),
        "batch": Choice(tune.batch),
        "learning_rate": Range(*tune.learning_rate, is_logarithmic=True),
        "dropout": Range(*tune.dropout),
    }
    given = shape.model_dump() | training.model_dump()
    free = {name: where for name, where in space.items() if given[name] is None}
    if shape.cell and "," in shape.cell:
        free.pop("layers", None)  # there are as many as cells
    return free


def _best(found: Search, table: Path) -> dict[str, Any]:
    best = found.best
    if best is None and found.is_interrupted:
        tell("interrupted before a trial came to its end")
        raise KeyboardInterrupt
    if best is None:
        raise DataError(f"tune: expected a trial that comes to its end, got none of {len(found.trials)}; see {table}")
    count = f"{len(found.trials)} trial(s)"
    if found.is_interrupted:
        count += ", then interrupted"
    first = found.trials[0]
    was = f"; {first.validation_loss:.4f} as it would be without" if first.state == "complete" else ""
    options = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in best.options.items()
    )
    tell(f"  best of {count}: {options} (validation loss {best.validation_loss:.4f}{was})")
    return dict(best.options)
