"""How often an alert names the channel that is at fault: faults injected into one channel at a time.

    python tests/scoring/attribution_simulation.py [SERIES.npz ...]

Without a series: the simulated vital signs and pumps of the demo. Of a labelled series the model learns the last 40,000
rows of the warm-up, and faults lie in what comes after and is not labelled. A case is a stretch of clean rows, twice:
as it is, and with a fault. An alert counts that opens while the fault lasts and has no equal in the clean stretch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm import Detector, ModelBundle, train
from streamlstm.scoring.alert_tracker import AlertTracker
from streamlstm.scoring.alerts import Alert, AlertPolicy
from streamlstm.simulation import simulate_pumps, simulate_vitals
from streamlstm.types import Position, Scores

KINDS = (("spike", 6), ("spike", 15), ("step", 3), ("step", 8), ("drift", 6), ("drift", 12), ("noise", 2), ("noise", 5))
"""With their sizes in standard deviations of the channel; and a channel that is cut out, which reads 0."""
CUT_OUT = ("cut-out", 0)
SPIKE_ROWS = 2
LEARNT_ROWS = 40_000
"""Of a warm-up: two minutes of a heart at 360 Hz, hours of a server."""
RAISED = 1.3
"""Where no alert opens, the highest score names a channel if the fault made it so many times as high."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """Rows of a stream with a fault in one channel, from `begin` to `end`, and the same rows without it."""

    channel: int
    kind: str
    size: int
    clean: Values
    faulty: Values
    begin: int
    end: int


@dataclass
class Count:
    """What became of the cases of one kind: alerts, and of how many the first and the last revision named the channel;
    cases whose score rose, and how often its highest row named the channel."""

    cases: int = 0
    alerts: int = 0
    opened: int = 0
    resolved: int = 0
    raised: int = 0
    highest: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(getattr(self, name) + getattr(other, name) for name in vars(self)))


def inject(rng: np.random.Generator, rows: NDArray[np.float64], kind: str, scale: float) -> NDArray[np.float64]:
    """Return rows of one channel with a fault of that kind, `scale` in the channel's unit."""
    faulty, sign = rows.copy(), rng.choice([-1.0, 1.0])
    if kind == "spike":
        faulty[:SPIKE_ROWS] += sign * scale
    elif kind == "step":
        faulty += sign * scale
    elif kind == "drift":
        faulty += sign * scale * np.linspace(0, 1, len(rows))
    elif kind == "noise":
        faulty += rng.normal(0, scale, len(rows))
    else:
        faulty[:] = 0
    return faulty


def make_cases(
    bundle: ModelBundle, clean: Sequence[Values], *, each: int, before: int, fault: int, seed: int = 0
) -> list[Case]:
    """Return `each` cases of every kind and channel: `fault` rows behind `before` rows without one."""
    rng, rows, cases = np.random.default_rng(seed), before + fault + 20, []
    for channel, scale in enumerate(bundle.standardizer.scale.tolist()):
        for kind, size in (*KINDS, CUT_OUT):
            for _ in range(each):
                series = clean[rng.integers(len(clean))]
                at = rng.integers(0, len(series) - rows)
                values = series[at : at + rows]
                faulty, span = values.copy(), slice(before, before + fault)
                faulty[span, channel] = inject(rng, values[span, channel].astype(np.float64), kind, size * scale)
                cases.append(Case(channel, kind, size, values, faulty, before, before + fault))
    return cases


def count_named(bundle: ModelBundle, cases: Sequence[Case]) -> Mapping[tuple[str, int], Count]:
    """Score all cases as streams side by side, and count by kind what their alerts named."""
    faulty, alerts = _run(bundle, [case.faulty for case in cases])
    clean, others = _run(bundle, [case.clean for case in cases])
    counts = {kind: Count() for kind in (*KINDS, CUT_OUT)}
    for n, case in enumerate(cases):
        count, span = counts[case.kind, case.size], slice(case.begin, case.end + 10)
        count.cases += 1
        opened = [alert for row, alert in alerts[n] if alert.revision == 1 and span.start <= row < span.stop]
        if opened and not any(row >= span.start - 100 for row, _ in others[n]):
            name = bundle.channels[case.channel]
            last = [alert for _, alert in alerts[n] if alert.alert_id == opened[0].alert_id][-1]
            count.alerts += 1
            count.opened += opened[0].channels[0].name == name
            count.resolved += last.channels[0].name == name
        score = np.nan_to_num(faulty.score[n :: len(cases)][span])
        if score.max() > RAISED * max(float(np.nanmax(clean.score[n :: len(cases)][span])), 0.25):
            at = int(score.argmax()) + span.start
            count.raised += 1
            count.highest += int(faulty.contribution[at * len(cases) + n].argmax()) == case.channel
    return counts


def _run(bundle: ModelBundle, series: Sequence[Values]) -> tuple[Scores, list[list[tuple[int, Alert]]]]:
    """Score series of equal length as streams, row by row; return the scores, and (row, alert) by stream."""
    streams, rows = len(series), len(series[0])
    ids = [str(n) for n in range(streams)] * rows
    times = np.repeat(np.arange(rows, dtype=np.int64) * round(1000 * (bundle.period_s or 1.0)), streams)
    values = np.stack(series, axis=1).reshape(rows * streams, -1)
    scores = Detector(bundle).score(ids, times, values)
    tracker = AlertTracker.of(bundle, AlertPolicy(), None)
    alerts: list[list[tuple[int, Alert]]] = [[] for _ in series]
    positions = [Position("cases", 0, n) for n in range(len(ids))]
    for place, alert in tracker.update(ids, times, values, scores, positions):
        alerts[place % streams].append((place // streams, alert))
    return scores, alerts


def _simulated(name: str) -> tuple[ModelBundle, list[Values]]:
    simulate = {"vitals": simulate_vitals, "pumps": simulate_pumps}[name]
    learnt, clean = simulate(1), simulate(7)
    values = {one.stream_id: one.values[: one.live_from] for one in learnt}
    bundle = train(values, period_s=learnt[0].period_s, channels=learnt[0].channels, name=name, seed=0)
    return bundle, [one.values[: one.live_from] for one in clean]


def _recorded(path: Path) -> tuple[ModelBundle, list[Values]]:
    with np.load(path) as held:
        values, labels, cut = held["values"].astype(np.float32), held["label"] > 0, int(held["train_len"])
        channels, period_s = [str(name) for name in held["channels"]], float(held["period_s"])
    bundle = train(
        values[max(cut - LEARNT_ROWS, 0) : cut], period_s=period_s, channels=channels, name=path.stem, seed=0
    )
    edges = [cut, *(np.flatnonzero(np.diff(labels[cut:])) + cut + 1).tolist(), len(values)]
    parts = [values[a:b] for a, b in pairwise(edges) if not labels[a]]
    return bundle, [part for part in parts if len(part) > 2000]


def main(paths: Sequence[str]) -> None:
    """Print a table for each model."""
    models = [_recorded(Path(path)) for path in paths] or [_simulated("vitals"), _simulated("pumps")]
    print(f"{'':26}cases  alerts  opened  resolved     raised  highest")
    for bundle, clean in models:
        rows = max(500, bundle.calibration.warm_up + 200)
        each = max(80 // len(bundle.channels), 2)
        counts = count_named(bundle, make_cases(bundle, clean, each=each, before=rows, fault=max(60, rows // 4)))
        for (kind, size), count in counts.items():
            _print(f"{bundle.name}: {kind} {size or ''}", count)
        _print(f"{bundle.name}: all", sum(counts.values(), Count()))


def _print(title: str, count: Count) -> None:
    def share(named: int, of: int) -> str:
        return f"{named / of:.1%}" if of else "-"

    print(
        f"{title:26}{count.cases:5}{count.alerts:8}{share(count.opened, count.alerts):>8}"
        f"{share(count.resolved, count.alerts):>10}{count.raised:11}{share(count.highest, count.raised):>9}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
