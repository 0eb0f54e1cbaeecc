"""What is peculiar to a set of the benchmark, beside the window and the tolerance that its measures have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["SetTraits", "traits_of"]


@dataclass(frozen=True, slots=True)
class SetTraits:
    """`scored_channels` is how many of the first channels are scored, None for all: the rest are inputs.

    `rate` is the time over which false openings are counted; `has_one_anomaly`: every series has exactly one; `is_nab`:
    NAB's own scorer judges the set, too.
    """

    scored_channels: int | None = None
    rate: Literal["day", "hour"] = "day"
    has_one_anomaly: bool = False
    is_nab: bool = False


_TRAITS: Mapping[str, SetTraits] = MappingProxyType(
    {
        "mitbih": SetTraits(rate="hour"),
        "nab": SetTraits(is_nab=True),
        "smap": SetTraits(scored_channels=1),
        "ucr": SetTraits(has_one_anomaly=True),
    }
)
_OTHERS = SetTraits()


def traits_of(set_name: str) -> SetTraits:
    """Return what is peculiar to a set; nothing is to one that is not known by name."""
    return _TRAITS.get(set_name, _OTHERS)
