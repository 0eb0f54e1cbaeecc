"""Why the detector spoke at a time, or did not, in one sentence."""

from __future__ import annotations

import numpy as np

from streamlstm.evaluation.explanation import Explanation
from streamlstm.reporting.quantities import MISSING, number, share
from streamlstm.types import Status

__all__ = ["clock_time", "main_branch", "main_channel", "verdict_of", "with_band", "with_unit"]

_RAREST = 1e15
_NO_SCORE = {
    Status.WARMING: "the stream is still warming up",
    Status.GAP: "the stream begins anew after a silence",
    Status.LATE: "the sample came late, after a newer one",
    Status.IMPUTED: "the sample holds no value",
    Status.READY: "nothing of the sample was measured",
}


def verdict_of(explanation: Explanation) -> str:
    """Return the sentence."""
    at = explanation.at
    when = f"At {clock_time(int(explanation.event_time_ms[at]))}"
    score = float(explanation.score[at])
    facts = "; ".join(
        f"a {alert.kind} alert was open: {alert.summary.removeprefix(f'{alert.stream_id}: ')}"
        for alert in explanation.open_alerts
        if alert.kind != "residual"
    )
    if not np.isfinite(score):
        no_score = f"{when} there was no score: {_NO_SCORE[Status(int(explanation.status[at]))]}"
        return f"{no_score}; {facts}." if facts else f"{no_score}."
    residual = next((alert for alert in explanation.open_alerts if alert.kind == "residual"), None)
    reason = f"{_reason(explanation)}; {facts}" if facts else _reason(explanation)
    said = f"{when} the score was {number(score)}, {_rarity(float(explanation.p_value[at]))}"
    if residual is not None:
        still = "was open" if score >= 1.0 else "was still open"
        return f"{said}, and a residual alert {still}, since {clock_time(residual.started_at)}: {reason}."
    none = "no alert rested on it" if facts else "no alert was open"
    if score >= 1.0:
        return f"{said}, but {none}: {reason}."
    return f"{said}, which is below the threshold of 1, and {none}: {reason}."


def main_channel(explanation: Explanation) -> int:
    """Return the channel that contributed most."""
    return int(np.argmax(explanation.contribution[explanation.at]))


def main_branch(explanation: Explanation) -> tuple[str, float]:
    """Return the name of the branch that made most of the surprise, and its share."""
    shares = explanation.share_of_branches()[explanation.at]
    most = int(np.argmax(shares))
    return list(explanation.branches)[most], float(shares[most])


def clock_time(time_ms: int) -> str:
    """Write event time to the second, or to the millisecond where it has one."""
    moment = np.datetime64(time_ms, "ms")
    return f"{moment if time_ms % 1000 else moment.astype('datetime64[s]')}Z"


def with_unit(value: float, unit: str) -> str:
    """Write a value of a channel."""
    text = number(value, 4)
    return f"{text} {unit}" if unit and text != MISSING else text


def with_band(expected: float, usual: float, unit: str) -> str:
    """Write what was expected of a channel, with its usual error."""
    text = f"{number(expected, 4)} ± {number(usual, 2)}"
    return f"{text} {unit}" if unit else text


def _reason(explanation: Explanation) -> str:
    c, at = main_channel(explanation), explanation.at
    name, unit = explanation.channels[c], explanation.units[c]
    came = number(float(explanation.values[at, c]), 4)
    came = "missing" if came == MISSING else with_unit(float(explanation.values[at, c]), unit)
    expected = with_band(float(explanation.expected[at, c]), float(explanation.usual[c]), unit)
    branch, of_branch = main_branch(explanation)
    said = f"{name} was {came} where {expected} was expected"
    if of_branch == 0.0:
        return f"{said}, and nothing was surprising"
    made = f"{said} and made {share(float(explanation.contribution[at, c]))} of the surprise"
    if len(explanation.branches) == 1:
        return made
    return f"{made}; of the branches of the score, {branch.replace('_', ' ')} made the most ({share(of_branch)})"


def _rarity(p_value: float) -> str:
    if not p_value * _RAREST >= 1.0:
        return "rarer than one sample in 10^15"
    samples = float(f"{1 / p_value:.2g}")
    return f"one sample in {samples:,.0f}" if samples >= 10 else f"one sample in {samples:g}"
