"""The power of a model in words: what it finds, how soon, and what it misses."""

from __future__ import annotations

from collections.abc import Sequence

from streamlstm.evaluation.power.power import Found, Power, PowerCell

__all__ = ["FOUND_SHARE", "least_found", "power_sentences", "span_of"]

FOUND_SHARE = 0.9
"""Of a kind, the least size is named that is found in so many cases."""
_MISSED_SHARE = 0.5
"""A kind whose largest size is found in fewer is one that the model misses."""
_UNITS_S = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def least_found(cells: Sequence[PowerCell], channel: int | None = None) -> PowerCell | None:
    """Return of a kind's cells, sizes rising, the first from which on all are found; None where the largest is not."""
    least = None
    for cell in reversed(cells):
        found = cell.total if channel is None else cell.channels[channel]
        if not found.cases or found.share < FOUND_SHARE:
            break
        least = cell
    return least


def power_sentences(power: Power, *, period_s: float) -> list[str]:
    """Return a sentence for each kind that is found, and one for those that are not.

    Units: period_s in seconds between samples, 0 = unknown.
    """
    sentences, missed = [], []
    for kind in power.kinds:
        cells = [cell for cell in power.of_kind(kind) if cell.total.cases]
        if not cells:
            continue
        least = least_found(cells) or cells[-1]
        if least.total.share >= _MISSED_SHARE:
            sentences.append(f"finds {least.phrase} in {_cases(least.total, period_s)}")
        else:
            missed.append(f"{cells[-1].phrase} ({cells[-1].total.share:.0%} found)")
    if missed:
        sentences.append(f"misses {', '.join(missed)}")
    return sentences


def span_of(rows: int, period_s: float) -> str:
    """Return so many rows as a time, or as samples where the period is unknown."""
    if not period_s:
        return f"{rows:,} sample{'' if rows == 1 else 's'}"
    seconds = rows * period_s
    for size, name in _UNITS_S:
        if seconds >= (2 * size if size > 1 else size):
            return f"{seconds / size:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"


def _cases(found: Found, period_s: float) -> str:
    assert found.delay_rows is not None  # something was found
    return f"{found.share:.0%} of cases, half of them within {span_of(found.delay_rows, period_s)}"
