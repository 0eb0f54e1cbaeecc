"""Alerts of kind `flat`: a channel that moved in training keeps one value for longer than it ever did there."""

from __future__ import annotations

import math
from typing import ClassVar

from streamlstm.kernels import FLAT
from streamlstm.scoring.alert_kinds.spells import Spell, SpellAlerts
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alert_summary import since, with_unit

__all__ = ["FlatAlerts"]

_ROUNDING = 1e-6
_NAMED_CHANNELS = 5


class FlatAlerts(SpellAlerts):
    """Follows stuck channels."""

    kind: ClassVar[str] = "flat"
    found_as: ClassVar[int] = FLAT

    def goes_on(self, spell: Spell, value: float) -> bool | None:
        """Say whether the value is still the one that it is stuck at; a hole says nothing."""
        if not math.isfinite(value):
            return None
        return spell.value is not None and abs(value - spell.value) <= _ROUNDING * abs(spell.value)

    def sentence(self, life: Life) -> str:
        """Write which channels are stuck, at what, and since when."""
        stuck = [
            f"{part.name} stuck at {with_unit(part.value, self.units.get(part.name, ''))}"
            for part in life.channels[:_NAMED_CHANNELS]
            if part.value is not None
        ]
        more = len(life.channels) - _NAMED_CHANNELS
        named = ", ".join(stuck) + (f" and {more} more" if more > 0 else "")
        return f"{named}, {since(life.started_at)} ({life.samples:,} samples)"
