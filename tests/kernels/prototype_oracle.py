"""Distances to prototypes, written out in float64 from their definition: one stream, one sample at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class OracleWindow:
    """The last samples of one stream. Shapes: centres [2, K, L, C]; floors [C]."""

    centres: Any
    floors: Any
    stride: int = 1
    samples: list[list[float]] = field(default_factory=list)

    def measure(self, row: Any) -> tuple[list[float], list[float], list[float]]:
        """Take a sample; return both distances, the channels' shares in them and what was expected."""
        parts, count, taps, channels = self.centres.shape
        values = [0.0 if math.isnan(v) else min(max(float(v), -1e4), 1e4) for v in row]
        span = (taps - 1) * self.stride + 1
        self.samples = [*self.samples, values][-span:]
        if len(self.samples) < span:
            return [0.0] * parts, [1 / channels] * channels, [0.0] * channels
        taken = self.samples[:: self.stride]
        means = [math.fsum(s[c] for s in taken) / taps for c in range(channels)]
        window = [[s[c] - means[c] for c in range(channels)] for s in taken]
        distances, shares, expected = [], [0.0] * channels, [0.0] * channels
        for part in range(parts):
            if part == 1:
                for c in range(channels):
                    variance = math.fsum(w[c] ** 2 for w in window) / taps
                    deviation = math.sqrt(variance + float(self.floors[c]) ** 2)
                    for w in window:
                        w[c] /= deviation
            by_channel = [
                [
                    math.fsum((window[t][c] - float(self.centres[part, k, t, c])) ** 2 for t in range(taps))
                    for c in range(channels)
                ]
                for k in range(count)
            ]
            nearest = min(range(count), key=lambda k: math.fsum(by_channel[k]))
            total = math.fsum(by_channel[nearest])
            distances.append(total / (taps * channels))
            for c in range(channels):
                shares[c] += (by_channel[nearest][c] / total if total else 1 / channels) / parts
                if part == 0:
                    expected[c] = means[c] + float(self.centres[0, nearest, taps - 1, c])
        return distances, shares, expected
