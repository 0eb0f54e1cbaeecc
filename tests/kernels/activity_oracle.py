"""Spread and trend of streams, written out in float64 from their definition: one stream, one sample at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class OracleActivity:
    """Running means of one stream. Shapes: scales [2, C]; widths [2], in samples."""

    scales: Any
    widths: Any
    age: int = 0
    means: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)

    def measure(self, row: Any, observed: Any) -> tuple[list[float], list[float], list[float]]:
        """Take a sample; return both statistics, the channels' shares in them and what was expected."""
        channels = range(len(self.scales[0]))
        if self.age == 0:
            self.means, self.spreads, self.usual = ([0.0 for _ in channels] for _ in range(3))
        expected = list(self.usual)
        fast, slow = (max(2 / (float(width) + 1), 1 / (self.age + 1)) for width in self.widths)
        for c in channels:
            if observed[c]:
                away = float(row[c]) - self.means[c]
                self.means[c] += fast * away
                self.spreads[c] = (1 - fast) * (self.spreads[c] + fast * away**2)
                self.usual[c] = (1 - slow) * self.usual[c] + slow * float(row[c])
        self.age += 1
        spreads = [min(self.spreads[c] / float(self.scales[0][c]), 400.0) for c in channels]
        trends = [min((self.means[c] - self.usual[c]) ** 2 / float(self.scales[1][c]), 400.0) for c in channels]
        both = [one + other for one, other in zip(spreads, trends, strict=True)]
        shares = [one / sum(both) if sum(both) else 1 / len(both) for one in both]
        return [sum(spreads) / len(spreads), sum(trends) / len(trends)], shares, expected
