"""What differs from one set of the benchmark to the next: how its labels are to be read, and which channels are scored.

The borders of VUS-PR and the tolerances are fixed here for each set, and never estimated from a series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["OTHER_RULES", "RULES", "SetRules", "rules_of"]


@dataclass(frozen=True, slots=True)
class SetRules:
    """How a set is judged.

    Units: vus_window and tolerance in rows; near_rows is how near to the anomaly the highest score must lie where a
    series has exactly one, None where this is not asked. `scored_channels` is how many of the first channels are
    scored, None for all; the rest are inputs. `rate` is the time over which false openings are counted.
    """

    vus_window: int = 100
    tolerance: int = 10
    near_rows: int | None = None
    scored_channels: int | None = None
    rate: Literal["day", "hour"] = "day"
    is_nab: bool = False


_ECG_SECOND = 360
"""Rows in a second of the MIT-BIH recordings."""

RULES: Mapping[str, SetRules] = MappingProxyType(
    {
        "kpi": SetRules(vus_window=20, tolerance=7),
        "keogh": SetRules(vus_window=100),
        "mitbih": SetRules(vus_window=_ECG_SECOND // 2, tolerance=_ECG_SECOND, rate="hour"),
        "nab": SetRules(vus_window=100, is_nab=True),
        "skab": SetRules(vus_window=30, tolerance=30),
        "smap": SetRules(vus_window=100, tolerance=50, scored_channels=1),
        "smd": SetRules(vus_window=50, tolerance=10),
        "ucr": SetRules(vus_window=100, near_rows=100),
    }
)
"""The sets that are known by name."""

OTHER_RULES = SetRules()
"""Every other set, and recordings of one's own."""


def rules_of(set_name: str) -> SetRules:
    """Return how a set is judged."""
    return RULES.get(set_name, OTHER_RULES)
