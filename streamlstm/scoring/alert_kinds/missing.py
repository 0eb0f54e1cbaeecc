"""Alerts of kind `missing`: a channel, or all of them, has no value for longer than it ever had in training."""

from __future__ import annotations

import math
from typing import ClassVar

from streamlstm.kernels import MISSING
from streamlstm.scoring.alert_kinds.spells import Spell, SpellAlerts
from streamlstm.scoring.alert_life import Life
from streamlstm.scoring.alert_summary import since

__all__ = ["MissingAlerts"]

_NAMED_CHANNELS = 5


class MissingAlerts(SpellAlerts):
    """Follows channels without values."""

    kind: ClassVar[str] = "missing"
    found_as: ClassVar[int] = MISSING

    def goes_on(self, spell: Spell, value: float) -> bool | None:
        """Say whether there is still no value."""
        del spell
        return not math.isfinite(value)

    def sentence(self, life: Life) -> str:
        """Write which channels have no value, and since when."""
        names = [part.name for part in life.channels]
        if 1 < len(names) == len(self.channels):
            named = f"all {len(names)} channels"
        else:
            more = len(names) - _NAMED_CHANNELS
            named = ", ".join(names[:_NAMED_CHANNELS]) + (f" and {more} more" if more > 0 else "")
        return f"{named} without a value, {since(life.started_at)} ({life.samples:,} samples)"
