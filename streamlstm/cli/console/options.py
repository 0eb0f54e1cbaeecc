"""Options that several verbs have, and numbers checked: typer's own bounds let infinity through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.errors import UsageError

__all__ = ["ConfigArgument", "ConfigOption", "SetOption", "checked_seconds", "milliseconds", "split_names"]

ConfigArgument = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="The YAML configuration.", show_default=False)
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The YAML configuration, as an option.", show_default=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override one key of the configuration; may repeat.")
]

_MOST_S = 1e9  # 31 years: in milliseconds far within int64


def checked_seconds(option: str, seconds: float) -> float:
    """Return seconds from 0 on that are a finite number. Raises: UsageError."""
    if not 0 <= seconds <= _MOST_S:
        raise UsageError(f"{option}: expected seconds from 0 to {_MOST_S:.0e}, got {seconds:g}")
    return seconds


def milliseconds(option: str, seconds: float) -> int:
    """Return `checked_seconds` in whole milliseconds. Raises: UsageError."""
    return round(checked_seconds(option, seconds) * 1000)


def split_names(listed: str | None) -> tuple[str, ...]:
    """Return names that are given with commas between; none for None."""
    return () if listed is None else tuple(name.strip() for name in listed.split(","))
