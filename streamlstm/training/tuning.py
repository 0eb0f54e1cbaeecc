"""The search for options (extra `tune`): each trial is a training, judged by its lowest validation loss.

Rows that calibrate are never looked at. What is searched must leave the loss comparable: `reconstruct`, `forecast` and
`loss` say what is measured, and the easiest question would win. The first trial is what would be trained without a
search, so the best is never worse. The sampler is seeded and trials follow one another: the same data and seed give the
same trials, and those of an interrupted search are told to the sampler again instead of being trained again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from streamlstm.errors import DataError, UsageError
from streamlstm.training.plan import Plan
from streamlstm.training.trainer import TrainingProgress, ValidationPoint, fit
from streamlstm.training.trials import Choice, Option, Space, State, Trial

__all__ = ["Search", "search"]

_UNPRUNED_TRIALS = 4
"""A median of fewer says little."""
_UNPRUNED_SHARE = 0.2
"""Of a training's updates: before, the warm-up of the learning rate tells more than the options."""


@dataclass(frozen=True, slots=True)
class Search:
    """The trials, the best of those that were trained to their end, and whether Ctrl-C ended the search."""

    trials: tuple[Trial, ...]
    is_interrupted: bool

    @property
    def best(self) -> Trial | None:
        """The trial of the lowest validation loss, the first of several; None when none came to its end."""
        ended = [trial for trial in self.trials if trial.state == "complete"]
        return min(ended, key=lambda trial: trial.validation_loss, default=None)


class _PrunedError(Exception):
    """Ends a trial from within its training."""


def search(
    make: Callable[[dict[str, Option]], Plan[Any, Any]],
    space: Space,
    *,
    trials: int,
    seed: int,
    known: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] | None = None,
    on_progress: Callable[[int, TrainingProgress], None] | None = None,
) -> Search:
    """Train one plan of `make` after the other, with options from the space.

    `dropout` is asked for only where there are several layers. `known` are the first trials of the same search, made
    before. `on_trial` is told every trial, `on_progress` the number of the trial besides.
    Raises: UsageError when optuna is not installed, or there is nothing to search.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError('optuna is not installed; pip install "streamlstm[tune]"') from error
    if not space:
        raise UsageError("tune: expected something to search, got nothing: every option of the space is given")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    first = make({})
    pruner = optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, int(_UNPRUNED_SHARE * first.options.max_updates))
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    study.enqueue_trial(_present(first, space))
    made: list[Trial] = []
    for number in range(trials):
        asked = study.ask()
        options = _suggest(asked, space, layers=len(first.options.cells))
        if number < len(known) and known[number].options == options:
            done = known[number]
            for update, loss in done.curve:
                asked.report(loss, update)
        else:
            known = known[:number]
            try:
                done = _train(asked, number, options, make, on_progress)
            except KeyboardInterrupt:
                return Search(tuple(made), is_interrupted=True)
        made.append(done)
        state = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}[done.state]
        value = done.validation_loss if done.state == "complete" else None
        study.tell(asked, value, state=optuna.trial.TrialState[state])
        if on_trial is not None:
            on_trial(done)
    return Search(tuple(made), is_interrupted=False)


def _present(plan: Plan[Any, Any], space: Space) -> dict[str, Option]:
    """Return what the plan has of the space's options, where the space holds it."""
    o = plan.options
    present: dict[str, Option] = {"hidden": o.hidden, "layers": len(o.cells), "cell": o.cells[0], "batch": o.batch}
    present |= {"learning_rate": o.learning_rate, "dropout": o.dropout}
    held = {}
    for name, where in space.items():
        value = present[name]
        if value in where.values if isinstance(where, Choice) else where.low <= float(value) <= where.high:
            held[name] = value
    return held


def _suggest(asked: Any, space: Space, *, layers: int) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for name in sorted(space, key=lambda name: name == "dropout"):  # what it depends on comes first
        where = space[name]
        if name == "dropout" and int(options.get("layers", layers)) == 1:
            continue
        if isinstance(where, Choice):
            options[name] = asked.suggest_categorical(name, list(where.values))
        else:
            options[name] = asked.suggest_float(name, where.low, where.high, log=where.is_logarithmic)
    return options


def _train(
    asked: Any,
    number: int,
    options: dict[str, Option],
    make: Callable[[dict[str, Option]], Plan[Any, Any]],
    on_progress: Callable[[int, TrainingProgress], None] | None,
) -> Trial:
    curve: list[tuple[int, float]] = []

    def on_validation(point: ValidationPoint) -> None:
        if math.isfinite(point.validation_loss):
            curve.append((point.update, point.validation_loss))
            asked.report(point.validation_loss, point.update)
            if asked.should_prune():
                raise _PrunedError

    def told(progress: TrainingProgress) -> None:
        if on_progress is not None:
            on_progress(number, progress)

    state: State = "failed"
    lowest = math.nan
    try:
        lowest = fit(make(options).trainable(), on_progress=told, on_validation=on_validation).best_validation_loss
        state = "complete" if curve else "failed"
    except _PrunedError:
        state, lowest = "pruned", min(loss for _, loss in curve)
    except (DataError, UsageError):  # a gradient that is no number, or sizes that do not fit what is given
        pass
    return Trial(number, state, lowest, curve[-1][0] if curve else 0, options, tuple(curve))
