"""Measures the power of a model: what its alerts find of faults that are injected into its calibration data.

1. Places are drawn in the calibration parts (`places`), and each is a stream of its own that runs up to its place with
   carried state (`copies`), from 1,024 rows before it at least.
2. Every stream goes on as it was recorded. Where an alert opens without a fault none is injected.
3. The state at a place is copied for each kind and size of fault in each channel (`faults`). Each copy goes on with its
   fault, scored and followed as a worker does it: the default budget, the default alerts, nothing open, nothing owed.
4. An alert that opens within the rows that are followed has found the fault. The first channel it names is compared
   with the faulty one.

Streams count as old: their alarm level is the budget's, not the lower one of a young stream. Everything is drawn with
one seed and bounded by counts of rows, so the same bundle and data give the same figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.power.copies import Copy, Opened, follow, run_up
from streamlstm.evaluation.power.faults import FaultKind, Site, kinds_for
from streamlstm.evaluation.power.places import Place, choose_places, followed_rows, wave_period
from streamlstm.evaluation.power.power import Found, Power, PowerCell
from streamlstm.model.bundles.causal import ModelBundle

__all__ = ["measure_power"]

_SEED = 1
_LEAST_RUN_UP = 1024
_MOST_ROWS = 250_000
"""Of all copies together: about a second for a few channels."""
_MOST_VALUES = 2_000_000
"""The same of many channels, each of which costs."""
_SHARE = 0.2
"""Rows scored for each row trained on, which costs more: some 4 % of the time of a default training."""
_LEAST_PAIRS, _MOST_PAIRS = 8, 48
"""Of a place and a channel; every kind and size of fault is injected once in each."""
_LEAST_BY_CHANNEL = 4
"""Cases of each channel from which on it has figures of its own."""
_COPIES_AT_ONCE = 512


class _Case(NamedTuple):
    """A fault that was injected, by its channel, and the alert that found it."""

    channel: int
    opened: Opened | None


def measure_power(
    bundle: ModelBundle,
    series: Mapping[str, NDArray[np.float32]],
    starts: Mapping[str, int],
    *,
    trained_rows: int | None = None,
    kinds: Sequence[FaultKind] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Power | None:
    """Inject faults into the rows from each stream's start on; return what was found, None where there are too few.

    Shapes: series float32 [T, C] by stream, NaN = missing, rows a period apart. `trained_rows` is how many rows
    training went through, which bounds the cost; `kinds` are by default all that the data allow. `on_progress` is told
    how many copies of how many are scored.
    """
    tried = kinds_for(wave_period(bundle.period_rows)) if kinds is None else tuple(kinds)
    followed = followed_rows(bundle.period_rows)
    before = max(_LEAST_RUN_UP, 2 * bundle.calibration.warm_up)
    rows_of_pair = before + followed * (1 + sum(len(kind.sizes) for kind in tried))
    places = choose_places(
        series,
        {key: max(start, bundle.calibration.warm_up) for key, start in starts.items()},
        followed=followed,
        pairs=_pairs(len(bundle.channels), rows_of_pair, trained_rows),
        rng=np.random.default_rng(_SEED),
    )
    if not places:
        return None
    states = run_up(bundle, series, places, rows=before)
    clean = [Copy(n, _recorded(series, place, followed)) for n, place in enumerate(places)]
    is_quiet = [opened is None for opened in follow(bundle, places, states, clean)]
    copies = [
        copy
        for n, place in enumerate(places)
        if is_quiet[n]
        for copy in _faulty(bundle, series[place.stream_id], place, n, tried, followed=followed)
    ]
    cases = defaultdict[tuple[str, float | None], list[_Case]](list)
    for first in range(0, len(copies), _COPIES_AT_ONCE):
        some = copies[first : first + _COPIES_AT_ONCE]
        for copy, opened in zip(some, follow(bundle, places, states, some), strict=True):
            cases[copy.kind, copy.size].append(_Case(copy.channel, opened))
        if on_progress is not None:
            on_progress(first + len(some), len(copies))
    has_channels = _has_figures_by_channel(places, is_quiet, len(bundle.channels))
    cells = [
        _cell(kind, size, cases[kind.name, size], bundle.channels, has_channels=has_channels)
        for kind in tried
        for size in kind.sizes
    ]
    return Power(followed, len(places), sum(is_quiet), tuple(cells))


def _pairs(channels: int, rows_of_pair: int, trained_rows: int | None) -> int:
    rows = min(_MOST_ROWS, _MOST_VALUES // channels)
    if trained_rows is not None:
        rows = min(rows, int(_SHARE * trained_rows))
    return min(max(rows // rows_of_pair, _LEAST_PAIRS), _MOST_PAIRS)


def _recorded(series: Mapping[str, NDArray[np.float32]], place: Place, rows: int) -> NDArray[np.float32]:
    return series[place.stream_id][place.row : place.row + rows]


def _faulty(
    bundle: ModelBundle,
    values: NDArray[np.float32],
    place: Place,
    number: int,
    kinds: Sequence[FaultKind],
    *,
    followed: int,
) -> Iterator[Copy]:
    """Yield a copy for each channel, kind and size whose fault changes anything."""
    recorded = values[place.row : place.row + followed]
    rng = np.random.default_rng([_SEED, number])
    for c in place.channels:
        site = Site(
            column=values[:, c],
            at=place.row,
            rows=followed,
            deviation=float(bundle.standardizer.scale[c]),
            sign=float(rng.choice([-1.0, 1.0])),
            period_rows=wave_period(bundle.period_rows),
            noise=rng.normal(size=followed),
        )
        for kind in kinds:
            for size in kind.sizes:
                faulty = recorded.copy()
                faulty[:, c] = kind.inject(site, 0.0 if size is None else size)
                if not np.array_equal(faulty, recorded, equal_nan=True):
                    yield Copy(number, faulty, kind.name, size, c)


def _has_figures_by_channel(places: Sequence[Place], is_quiet: Sequence[bool], channels: int) -> bool:
    counts = np.zeros(channels, np.int64)
    for place, counted in zip(places, is_quiet, strict=True):
        counts[list(place.channels)] += counted
    return channels > 1 and int(counts.min()) >= _LEAST_BY_CHANNEL


def _cell(
    kind: FaultKind, size: float | None, cases: Sequence[_Case], channels: Sequence[str], *, has_channels: bool
) -> PowerCell:
    found = [_found([case for case in cases if case.channel == c], name) for c, name in enumerate(channels)]
    delays = _delays(cases)
    total = Found(len(cases), len(delays), sum(one.named for one in found), _median(delays))
    return PowerCell(kind.name, kind.label_of(size), kind.phrase_of(size), total, tuple(found) if has_channels else ())


def _found(cases: Sequence[_Case], name: str) -> Found:
    """Count the cases of one channel."""
    delays = _delays(cases)
    named = sum(case.opened is not None and case.opened.channel == name for case in cases)
    return Found(len(cases), len(delays), named, _median(delays))


def _delays(cases: Sequence[_Case]) -> list[int]:
    return sorted(case.opened.delay_rows for case in cases if case.opened is not None)


def _median(delays: Sequence[int]) -> int | None:
    return delays[(len(delays) - 1) // 2] if delays else None
