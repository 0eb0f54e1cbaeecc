"""What is declared of channels: which are only fed to the network, which deviations matter, which range is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import UsageError
from streamlstm.model.standardizer import Standardizer

__all__ = ["ChannelDeclaration", "ChannelRules", "Direction", "Limits", "check_declarations"]

Direction: TypeAlias = Literal["both", "up", "down"]
_SIGNS: Mapping[str, int] = {"both": 0, "up": 1, "down": -1}


@dataclass(frozen=True, slots=True)
class Limits:
    """The range that a channel is to stay in, in its own unit; a bound of None is none.

    hysteresis: how far back inside a value must be before an alert is resolved.
    delay_samples, delay_ms: for how many samples and how long it is outside before one opens; both must be over.
    """

    low: float | None = None
    high: float | None = None
    hysteresis: float = 0.0
    delay_samples: int = 0
    delay_ms: int = 0

    def __post_init__(self) -> None:
        for name in ("low", "high", "hysteresis"):  # 1 and 1.0 are one declaration, and one digest
            if (number := getattr(self, name)) is not None:
                object.__setattr__(self, name, float(number))
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not bounds:
            raise UsageError("limits: expected low, high or both, got neither")
        if not all(math.isfinite(number) for number in (*bounds, self.hysteresis)):
            raise UsageError("limits: expected finite numbers")
        if self.hysteresis < 0 or self.delay_samples < 0 or self.delay_ms < 0:
            raise UsageError("limits: expected a hysteresis and a delay of 0 or more")
        if self.low is not None and self.high is not None and not self.low + 2 * self.hysteresis < self.high:
            raise UsageError(
                f"limits: expected low and high farther apart than twice the hysteresis, got {self.low:g}, "
                f"{self.high:g} and {self.hysteresis:g}"
            )


@dataclass(frozen=True, slots=True)
class ChannelDeclaration:
    """What is declared of one channel; the defaults declare nothing.

    input_only: the network sees the channel, and it is not scored: a command or a set point.
    direction: which deviations from what was expected count: those above it (up), below it (down), or both.
    least_deviation: the smallest that counts, in the channel's unit.
    limits: the range that it is to stay in.
    """

    input_only: bool = False
    direction: Direction = "both"
    least_deviation: float = 0.0
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if self.direction not in _SIGNS:
            raise UsageError(f"direction: expected both, up or down, got {self.direction!r}")
        object.__setattr__(self, "least_deviation", float(self.least_deviation))
        if not 0 <= self.least_deviation < math.inf:
            raise UsageError(f"least_deviation: expected 0 or more, got {self.least_deviation:g}")


def check_declarations(declared: Mapping[str, ChannelDeclaration], channels: Sequence[str]) -> None:
    """Raise UsageError for a channel that there is not, and where no channel is left to score."""
    if unknown := declared.keys() - set(channels):
        raise UsageError(f"channels: expected names among {list(channels)}, got {min(unknown)!r}")
    if all(name in declared and declared[name].input_only for name in channels):
        raise UsageError("channels: expected one at least that is scored, got input_only for all of them")


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What the declarations of all channels come to, as kernels take it.

    Shapes: scored uint8 [C], 0 = input only; directions int8 [C], 1 = up, -1 = down, 0 = both; least float32 [C],
    standardised.
    """

    scored: NDArray[np.uint8]
    directions: NDArray[np.int8]
    least: NDArray[np.float32]

    @classmethod
    def of(
        cls, declared: Mapping[str, ChannelDeclaration], channels: Sequence[str], standardizer: Standardizer
    ) -> Self:
        """Take what is declared of channels, in their order."""
        each = [declared.get(name, ChannelDeclaration()) for name in channels]
        least = np.array([one.least_deviation for one in each]) / standardizer.scale
        return cls(
            np.array([not one.input_only for one in each], np.uint8),
            np.array([_SIGNS[one.direction] for one in each], np.int8),
            np.minimum(least, np.finfo(np.float32).max).astype(np.float32),
        )

    @property
    def are_plain(self) -> NDArray[np.bool_]:
        """Which channels are scored, whatever their deviations [C]."""
        return np.asarray((self.scored != 0) & (self.directions == 0) & (self.least == 0))
