"""Numbers as a reader wants them: three digits, a unit, a word that agrees with its count."""

from __future__ import annotations

import math

__all__ = ["MINUS", "MISSING", "counted", "duration", "number", "share"]

MINUS = "\u2212"
MISSING = "\u2013"
_THIN_SPACE = "\u202f"  # that does not break
_UNITS_S = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, a dash for none; whole thousands keep all of theirs."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        mantissa, _, power = f"{size:.{digits - 1}e}".partition("e")
        text = f"{_bare(mantissa)}e{int(power)}".replace("-", MINUS)
    else:
        decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
        text = _bare(f"{size:,.{decimals}f}")
    return MINUS + text if value < 0 else text


def share(value: float) -> str:
    """Return a share in percent, with more digits near nothing and near everything, which it never rounds to."""
    if not math.isfinite(value):
        return MISSING
    percent = 100 * value
    if percent in (0, 100):
        text = f"{percent:.0f}"
    elif 99 < percent < 100:
        text = _bare(f"{min(percent, 99.99):.2f}" if percent >= 99.9 else f"{percent:.1f}")
    elif abs(percent) < 10:
        text = number(percent, 2)
    else:
        text = number(round(percent))
    return f"{text}{_THIN_SPACE}%"


def duration(seconds: float) -> str:
    """Return a time span in the largest unit of which it holds at least two (days: 2.0 on), or 1 of a smaller one."""
    if not math.isfinite(seconds):
        return MISSING
    for size, name in _UNITS_S:
        least = size if size <= 1.0 else 2 * size
        if abs(seconds) >= least:
            return f"{number(seconds / size)}{_THIN_SPACE}{name}"
    return f"{number(seconds * 1e3)}{_THIN_SPACE}ms"


def counted(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _bare(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
