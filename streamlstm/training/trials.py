"""What a search for options asks and finds: spaces, trials, and the table of trials, which an interrupted one reads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from streamlstm.errors import StreamLstmError
from streamlstm.training.plan import Plan, fingerprint

__all__ = ["Choice", "Option", "Range", "Space", "State", "Trial", "identity_of", "read_trials", "write_trials"]

Option: TypeAlias = str | int | float
State: TypeAlias = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    values: tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`."""

    low: float
    high: float
    is_logarithmic: bool = False


Space: TypeAlias = Mapping[str, Choice | Range]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search. Curve: updates, each with the validation loss there."""

    number: int
    state: State
    validation_loss: float
    updates: int
    options: dict[str, Option]
    curve: tuple[tuple[int, float], ...]


def identity_of(plan: Plan[Any, Any], *, seed: int) -> str:
    """Return what tells one search from another: a hash of its data, options and seed."""
    told = json.dumps([plan.identity, seed, plan.channels, fingerprint(plan.series)])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def write_trials(path: Path, trials: Sequence[Trial], space: Space, *, identity: str) -> None:
    """Write a table, a line a trial; a file that was there is replaced in one step, or not at all.

    `identity` is that of the search. Raises: StreamLstmError when the disk refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_loss", "updates", *space, "looks", "search"])
    for trial in trials:
        curve = " ".join(f"{update}:{loss!r}" for update, loss in trial.curve)
        options = [trial.options.get(name, "") for name in space]
        writer.writerow(
            [trial.number, trial.state, repr(trial.validation_loss), trial.updates, *options, curve, identity]
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text.getvalue(), "utf-8")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise StreamLstmError(f"{path}: the table of trials cannot be written ({error.strerror})") from error


def read_trials(path: Path, space: Space, *, identity: str) -> list[Trial]:
    """Read a table of trials; none where there is no table, or it is of another search.

    Raises: StreamLstmError when it is damaged.
    """
    if not path.is_file():
        return []
    trials: list[Trial] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if list(row)[4:-2] != list(space) or row["search"] != identity:
                    return []
                options = {name: _value(row[name], where) for name, where in space.items() if row[name]}
                curve = [point.split(":") for point in row["looks"].split()]
                history = tuple((int(update), float(loss)) for update, loss in curve)
                [state] = [known for known in get_args(State) if known == row["state"]]
                loss, updates = float(row["validation_loss"]), int(row["updates"])
                trials.append(Trial(len(trials), state, loss, updates, options, history))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise StreamLstmError(f"{path}: expected the table of a search, got {error}; delete it to begin anew") from None
    return trials


def _value(text: str, where: Choice | Range) -> Option:
    if isinstance(where, Range):
        return float(text)
    return next((value for value in where.values if str(value) == text), text)
