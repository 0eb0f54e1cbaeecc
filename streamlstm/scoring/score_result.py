"""The score of one sample, as a caller of Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from streamlstm.model.display import Displayed, Facts, first_few

__all__ = ["ScoreResult", "SettledScore"]


class SettledScore(NamedTuple):
    """The verdict on an earlier sample of the stream, the one at `event_time_ms`."""

    event_time_ms: int
    settled: float


@dataclass(frozen=True, slots=True, repr=False)
class ScoreResult(Displayed):
    """The score of one sample; `score` and `p_value` are None while warming, after a gap, and when late.

    `settled` is the verdict that the sample brings on an earlier one, if the detector gives any.
    """

    score: float | None
    p_value: float | None
    status: str
    expected: dict[str, float]
    contribution: dict[str, float]
    settled: SettledScore | None = None

    def _facts(self) -> Facts:
        score = "none" if self.score is None else f"{self.score:.3g}"
        p_value = "none" if self.p_value is None else f"{self.p_value:.3g}"
        shares = sorted(self.contribution.items(), key=itemgetter(1), reverse=True)
        return Facts(
            f"ScoreResult {self.status}",
            (
                (("score", score), ("p-value", p_value)),
                (("expected", first_few(f"{name} {value:.4g}" for name, value in self.expected.items())),),
                (("contribution", first_few(f"{name} {share:.0%}" for name, share in shares)),),
            ),
        )
