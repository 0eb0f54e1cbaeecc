"""The life of alerts, written out by stream from its definition; no line of it is shared with the package."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
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


def level(score: float) -> str:
    for name, least in (("high", 4), ("medium", 2)):
        if score >= least:
            return name
    return "low"


def revisions_of(
    samples: Sequence[Sample],
    *,
    stream_id: str,
    channels: Sequence[str],
    model: str,
    open_after: int,
    resolve_after: int,
    refractory_ms: int,
) -> list[tuple[int, dict[str, Any]]]:
    """Return (sample, record) of every revision of one stream's alerts."""
    found: list[tuple[int, dict[str, Any]]] = []
    run: list[int] = []  # the scored samples since the alert, or what may become one, began
    alert: dict[str, Any] | None = None
    ended: tuple[int, float] | None = None  # when the last one was resolved, and its peak
    for n, sample in enumerate(samples):
        if sample.status == "late" or (math.isnan(sample.score) and sample.status != "gap"):
            continue
        if alert is None:
            run = [*run, n] if sample.status != "gap" and sample.score >= 1 else []
            is_soon = ended is not None and sample.time_ms - ended[0] < refractory_ms
            is_worse = ended is not None and sample.score >= 1.3 * ended[1]
            if len(run) >= open_after and (is_worse or not is_soon):
                alert = {
                    "alert_id": identity(model, stream_id, samples[run[0]]),
                    "revision": 1,
                    "state": "open",
                    "started_at": samples[run[0]].time_ms,
                    "detected_at": sample.time_ms,
                    "resolved_at": None,
                    "model": model,
                } | described(samples, run, stream_id, channels)
                found.append((n, alert))
            continue
        if sample.status != "gap":
            run = [*run, n]
        now = described(samples, run, stream_id, channels)
        is_over = sample.status == "gap" or all(samples[k].score < 1 for k in run[-resolve_after:])
        if is_over or now["severity"] != alert["severity"]:
            alert = alert | now | {"revision": alert["revision"] + 1}
            if is_over:
                alert |= {"state": "resolved", "resolved_at": sample.time_ms}
            found.append((n, alert))
        if is_over:
            ended = (sample.time_ms, min(alert["peak"][0], 10.0))
            alert, run = None, []
    return found


def identity(model: str, stream_id: str, first: Sample) -> str:
    parts = (model, stream_id, "residual", *map(str, first.place), str(first.time_ms))
    return hashlib.sha256(b"\0".join(part.encode() for part in parts)).hexdigest()[:24]


def described(samples: Sequence[Sample], run: Sequence[int], stream_id: str, channels: Sequence[str]) -> dict[str, Any]:
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
    came = "missing" if value is None else f"{value:.4g}"
    return {
        "severity": level(peak.score),
        "peak": (round(peak.score, 6), peak.time_ms),
        "samples": len(run),
        "channels": parts,
        "summary": f"{stream_id}: {name} {came} where {expected:.4g} was expected (score {peak.score:.2f})",
    }
