"""What a page calls the network's estimates: a causal network foresees a sample, a whole-window one sees around it."""

from __future__ import annotations

from dataclasses import dataclass

from streamlstm.reporting.report import TrainingReport

__all__ = ["Phrases", "phrases_of"]


@dataclass(frozen=True, slots=True)
class Phrases:
    """`how` and `over_all` begin a sentence, `estimate`, `expected` and `loss` stand within one, the others are one."""

    how: str
    estimate: str
    expected: str
    loss: str
    over_all: str
    fitted: str
    scores: str
    nervous: str
    levels: str


_CAUSAL = Phrases(
    how="One step ahead",
    estimate="one-step forecast",
    expected="expected one step before",
    loss="validation loss, over all that is rebuilt and forecast",
    over_all="Over all that is rebuilt and forecast,",
    fitted="The calibration part follows the line by construction, and is drawn for comparison only.",
    nervous="Expect more alerts than the budget says, until the streams' own levels have followed.",
    scores="Scores are means over the rows before, so they follow what caused them.",
    levels="A stream's alarm level rises to the budget as it grows older.",
)
_WINDOWS = Phrases(
    how="From the samples around each one",
    estimate="estimate from the samples around",
    expected="expected from the samples around",
    loss="validation loss",
    over_all="Over all that is estimated,",
    fitted="The calibration part, which the tails were fitted on, is drawn for comparison only.",
    nervous="Expect more alerts than the budget says.",
    scores="Scores are means over the rows around.",
    levels="The alarm level rises to the budget with the length of a recording.",
)


def phrases_of(report: TrainingReport) -> Phrases:
    """Return the words for a report's kind of model."""
    return _CAUSAL if report.is_causal else _WINDOWS
