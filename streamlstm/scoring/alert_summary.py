"""The sentence of an alert: which channel, its value and unit, what was expected, since when, how rare.

Other kinds than `residual` write their own, of the same words.
"""

from __future__ import annotations

import numpy as np

from streamlstm.scoring.alerts import ChannelPart, Peak

__all__ = ["since", "summary_of", "with_unit"]

_RAREST = 1e15
"""Beyond one sample in so many a tail's figure says nothing but that it is rare."""


def summary_of(stream_id: str, *, channel: ChannelPart, unit: str, started_at: int, peak: Peak) -> str:
    """Write the sentence. Units: started_at in ms of event time."""
    came = "missing" if channel.value is None else with_unit(channel.value, unit)
    expected = with_unit(channel.expected, unit)
    return (
        f"{stream_id}: {channel.name} {came} where {expected} was expected, {since(started_at)} "
        f"(score {peak.score:.2f}{_rarity(peak.p_value)})"
    )


def since(time_ms: int) -> str:
    """Write since when. Units: ms of event time."""
    time = np.datetime64(time_ms, "ms") if time_ms % 1000 else np.datetime64(time_ms // 1000, "s")
    return f"since {time}Z"


def with_unit(value: float, unit: str) -> str:
    """Write a value with four digits and its unit."""
    return f"{value:.4g} {unit}" if unit else f"{value:.4g}"


def _rarity(p_value: float | None) -> str:
    if p_value is None:
        return ""
    if p_value * _RAREST < 1.0:
        return ", rarer than one sample in 10^15"
    return f", one sample in {float(f'{1 / p_value:.2g}'):,.0f}"
