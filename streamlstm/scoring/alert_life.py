"""Where a stream stands on the way to an alert: how long its score has risen, been above the threshold, or below."""

from __future__ import annotations

import msgspec

from streamlstm.scoring.alerts import Alert, ChannelPart, Peak
from streamlstm.types import Position

__all__ = ["RISE_STEP", "RISING", "RISING_P", "Life"]

RISING = 0.5
"""A score rises from half of the threshold on, ..."""
RISING_P = 0.005
"""... where that is rarer than one sample in 200: the threshold of a young stream is low, and half of it is nothing. So
few streams need memory."""
RISE_STEP = 64
"""Samples. A rise is dated back by fewer than two of these: the longest mean behind a score spans 128."""


class Life(msgspec.Struct, omit_defaults=True):
    """Where a stream that is not idle stands. Stored in snapshots as it is."""

    above: int = 0
    below: int = 0
    samples: int = 0
    started_at: int = 0
    opened_by: Position | None = None
    peak: Peak | None = None
    channels: tuple[ChannelPart, ...] = ()
    alert: Alert | None = None
    resolved_at: int | None = None
    last_peak: float = 0.0
    above_since: int | None = None  # None in snapshots of earlier versions, whose runs start there
    below_since: int = 0
    opened_samples: int = 0  # since the alert opened
    resolved_samples: int = 0  # since it was resolved
    rise: int = 0  # samples in a row at or above half of the threshold, up to the one that passes it
    rise_at: int = 0
    mark_at: int = 0  # the last sample of the rise whose number is a multiple of RISE_STEP
    is_held: bool = False

    @property
    def run_began(self) -> int:
        """When the run at or above the threshold began."""
        return self.started_at if self.above_since is None else self.above_since

    def follow_run(self, ts: int, position: Position, *, is_rising: bool, is_above: bool) -> None:
        """Follow what may become an alert: the rise, and from the threshold on the run.

        Of the samples of a rise only two times are kept: that of the last one whose number in it is a multiple of
        RISE_STEP, and that of the one so many samples before it.
        """
        if is_above and self.above > 0:
            self.samples += 1
            return
        if self.above > 0:  # the run ended; what comes after it is another rise
            self.rise = 0
        if not is_rising:
            self.rise = 0
            return
        if self.rise == 0:
            self.rise_at = self.mark_at = ts
        elif self.rise % RISE_STEP == 0:
            self.rise_at, self.mark_at = self.mark_at, ts
        self.rise += 1
        if is_above:
            first = max((self.rise - 1) // RISE_STEP - 1, 0) * RISE_STEP
            self.started_at, self.samples = self.rise_at, self.rise - first
            self.above_since, self.opened_by, self.peak, self.is_held = ts, position, None, False
