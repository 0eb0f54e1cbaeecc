"""Seconds on the command line, checked: typer's own bounds let infinity through."""

from __future__ import annotations

from streamlstm.errors import UsageError

__all__ = ["checked_seconds", "milliseconds"]

_MOST_S = 1e9  # 31 years: in milliseconds far within int64


def checked_seconds(option: str, seconds: float) -> float:
    """Return seconds from 0 on that are a finite number. Raises: UsageError."""
    if not 0 <= seconds <= _MOST_S:
        raise UsageError(f"{option}: expected seconds from 0 to {_MOST_S:.0e}, got {seconds:g}")
    return seconds


def milliseconds(option: str, seconds: float) -> int:
    """Return `checked_seconds` in whole milliseconds. Raises: UsageError."""
    return round(checked_seconds(option, seconds) * 1000)
