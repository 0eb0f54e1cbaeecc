"""The power of a model as its bundle keeps it: of each kind and size of fault, how many were found, and how soon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

__all__ = ["POWER_KEY", "Found", "Power", "PowerCell"]

POWER_KEY = "power"
"""Where it stands among what a bundle says of its training."""


class Found(msgspec.Struct, frozen=True):
    """What came of so many faults.

    In `found` of them an alert opened; in `named` of these its first channel was the faulty one. `delay_rows` is the
    median of the rows from the first faulty one to the one at which the alert opened, None where none did.
    """

    cases: int = 0
    found: int = 0
    named: int = 0
    delay_rows: int | None = None

    @property
    def share(self) -> float:
        """The share that was found; 0 of none."""
        return self.found / max(self.cases, 1)


class PowerCell(msgspec.Struct, frozen=True):
    """One kind and size of fault, over all channels and by channel.

    `label` is the size as a table has it, `phrase` the fault in words. `channels` are in the model's order, and empty
    where there are too few cases of each.
    """

    kind: str
    label: str
    phrase: str
    total: Found
    channels: tuple[Found, ...] = ()


class Power(msgspec.Struct, frozen=True):
    """All of them. Faults were injected at `quiet` of `places` places, where no alert opened without one.

    `followed_rows` is for how many rows from its first one on an alert counts as the fault's.
    """

    followed_rows: int
    places: int
    quiet: int
    cells: tuple[PowerCell, ...]

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> Self | None:
        """Return what a bundle says of its training, None where it was not measured or another release did it."""
        try:
            return msgspec.convert(training.get(POWER_KEY), cls)
        except msgspec.ValidationError:
            return None

    def within(self, training: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a bundle says of its training, with this."""
        return {**training, POWER_KEY: msgspec.to_builtins(self)}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, in the order of tables."""
        return tuple(dict.fromkeys(cell.kind for cell in self.cells))

    @property
    def named_share(self) -> float:
        """In which share of the faults that were found the alert named the faulty channel; 0 of none."""
        found = sum(cell.total.found for cell in self.cells)
        return sum(cell.total.named for cell in self.cells) / max(found, 1)

    def of_kind(self, kind: str) -> tuple[PowerCell, ...]:
        """Return the cells of a kind, sizes rising."""
        return tuple(cell for cell in self.cells if cell.kind == kind)
