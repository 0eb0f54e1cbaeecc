"""The life of alerts, written out by stream from its definition; no line of it is shared with the package.

Waits are pairs (samples, ms), both of which must be over.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass
class Sample:
    """One scored sample. `score` is NaN where there is none; status is `ready`, `gap` or `late`."""

    time_ms: int
    score: float
    status: str
    values: tuple[float, ...]
    expected: tuple[float, ...]
    contribution: tuple[float, ...]
    place: tuple[str, int, int]
    p_value: float


Wait = tuple[int, int]


@dataclass
class Rules:
    """What a policy and a budget say; `interval_ms` None is no budget."""

    open_after: Wait
    resolve_after: Wait
    min_duration: Wait
    refractory: Wait
    escalate_after: Wait
    outside_budget: str | None
    interval_ms: int | None


def level(score: float, *, has_lasted: bool = False) -> str:
    names = ["low", "medium", "high", "high"]
    return names[sum(score >= least for least in (2, 4)) + has_lasted]


def is_over(wait: Wait, samples: int, ms: int) -> bool:
    return samples >= wait[0] and ms >= wait[1]


def revisions_of(
    samples: Sequence[Sample],
    rules: Rules,
    *,
    stream_id: str,
    channels: Sequence[str],
    units: Sequence[str],
    model: str,
) -> list[tuple[int, dict[str, Any]]]:
    """Return (sample, record) of every revision of one stream's alerts."""
    found: list[tuple[int, dict[str, Any]]] = []
    rise: list[int] = []  # samples in a row that are rising, none of them in a run that ended
    run: list[int] = []  # those of the rise that are at or above the threshold, all in a row and the last ones
    alert: dict[str, Any] | None = None
    inside: list[int] = []  # samples of the alert
    opened_at = 0
    resolved: int | None = None
    bills: list[int] = []  # when openings within the budget came

    def text(of: list[int], start: int) -> dict[str, Any]:
        return described(samples, of, stream_id, channels, units, start)

    for n, sample in enumerate(samples):
        if sample.status == "late" or (math.isnan(sample.score) and sample.status != "gap"):
            continue
        if alert is None:
            if sample.status == "gap" or sample.score < 0.5 or (sample.score < 1 and sample.p_value > 0.005):
                rise, run = [], []
            elif sample.score < 1:
                rise, run = ([] if run else rise) + [n], []
            else:
                rise, run = [*rise, n], [*run, n]
            if not run or not is_over(rules.open_after, len(run), sample.time_ms - samples[run[0]].time_ms):
                continue
            top = max(samples[k].score for k in run)
            if resolved is not None and top < needed_after(rules, samples, resolved, n, float(found[-1][1]["peak"][0])):
                continue
            owed = owed_at(rules, bills, sample.time_ms)
            is_paid = min(top, 3) >= 1 + 0.5 * max(owed - 1, 0)
            if not is_paid and (rules.outside_budget is None or not reaches(level(top), rules.outside_budget)):
                continue
            if is_paid:
                bills.append(sample.time_ms)
            crossed = len(rise) - len(run)
            first = rise[max(crossed // 64 - 1, 0) * 64]
            inside = [k for k in rise if k >= first]
            opened_at = n
            alert = {
                "alert_id": identity(model, stream_id, samples[run[0]]),
                "revision": 1,
                "state": "open",
                "started_at": samples[first].time_ms,
                "detected_at": sample.time_ms,
                "resolved_at": None,
                "model": model,
                "outside_budget": not is_paid,
                "severity": level(top),
            } | text(inside, samples[first].time_ms)
            found.append((n, alert))
            continue
        if sample.status != "gap":
            inside = [*inside, n]
        now = text(inside, alert["started_at"])
        lasted = sum(k > opened_at for k in inside), sample.time_ms - alert["detected_at"]
        now["severity"] = level(now["peak"][0], has_lasted=is_over(rules.escalate_after, *lasted))
        below = [k for k in inside if all(samples[j].score < 1 for j in inside if j >= k)]
        is_over_now = sample.status == "gap" or (
            len(below) > 0
            and is_over(rules.resolve_after, len(below), sample.time_ms - samples[below[0]].time_ms)
            and is_over(rules.min_duration, *lasted)
        )
        if is_over_now or now["severity"] != alert["severity"]:
            alert = alert | now | {"revision": alert["revision"] + 1}
            if is_over_now:
                alert |= {"state": "resolved", "resolved_at": sample.time_ms}
            found.append((n, alert))
        if is_over_now:
            alert, rise, run, resolved = None, [], [], n
    return found


def needed_after(rules: Rules, samples: Sequence[Sample], resolved: int, n: int, peak: float) -> float:
    """Return the score that is needed at sample n, when the last alert was resolved at another one."""
    seen = [k for k in range(resolved + 1, n + 1) if samples[k].status not in ("late", "gap")]
    count = sum(not math.isnan(samples[k].score) for k in seen)
    elapsed = samples[n].time_ms - samples[resolved].time_ms
    if is_over(rules.refractory, count, elapsed):
        return 1.0
    parts = [one / whole for one, whole in zip((count, elapsed), rules.refractory, strict=True) if whole]
    return 1.0 + (1.3 * min(peak, 10.0) - 1.0) * (1.0 - min(parts))


def owed_at(rules: Rules, bills: Sequence[int], time_ms: int) -> float:
    """Return how many openings are not paid for, when each takes an interval and they are paid one after the other."""
    if rules.interval_ms is None:
        return 0.0
    free_from = 0
    for bill in bills:
        free_from = max(free_from, bill) + rules.interval_ms
    return max(free_from - time_ms, 0) / rules.interval_ms


def reaches(severity: str, least: str) -> bool:
    order = ["low", "medium", "high"]
    return order.index(severity) >= order.index(least)


def identity(model: str, stream_id: str, first: Sample) -> str:
    parts = (model, stream_id, "residual", *map(str, first.place), str(first.time_ms))
    return hashlib.sha256(b"\0".join(part.encode() for part in parts)).hexdigest()[:24]


def described(
    samples: Sequence[Sample],
    run: Sequence[int],
    stream_id: str,
    channels: Sequence[str],
    units: Sequence[str],
    started_ms: int,
) -> dict[str, Any]:
    """Return what an alert says of its samples: their number, the first highest one, and the channels there."""
    top = next(n for n in run if samples[n].score == max(samples[k].score for k in run))
    peak = samples[top]
    order = sorted(range(len(channels)), key=lambda c: (-peak.contribution[c], c))[:5]
    parts = [
        (
            channels[c],
            round(peak.contribution[c], 4),
            None if math.isnan(peak.values[c]) else float(f"{peak.values[c]:.6g}"),
            float(f"{peak.expected[c]:.6g}"),
        )
        for c in order
    ]
    name, _, value, expected = parts[0]
    unit = f" {units[order[0]]}" if units[order[0]] else ""
    came = "missing" if value is None else f"{value:.4g}{unit}"
    since = datetime.fromtimestamp(started_ms / 1000, UTC).isoformat(
        timespec="milliseconds" if started_ms % 1000 else "seconds"
    )
    return {
        "peak": (round(peak.score, 6), peak.time_ms),
        "samples": len(run),
        "channels": parts,
        "summary": f"{stream_id}: {name} {came} where {expected:.4g}{unit} was expected, "
        f"since {since.replace('+00:00', 'Z')} (score {peak.score:.2f}, one sample in {round(1 / peak.p_value)})",
    }
