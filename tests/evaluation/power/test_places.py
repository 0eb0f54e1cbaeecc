"""Where faults are injected: inside what may be, everywhere in it, every channel as often as the others."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamlstm.evaluation.power.places import choose_places, followed_rows, wave_period


def series(lengths: list[int], channels: int) -> dict[str, NDArray[np.float32]]:
    return {f"s{n}": np.zeros((rows, channels), np.float32) for n, rows in enumerate(lengths)}


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    channels=st.integers(1, 60),
    pairs=st.integers(8, 48),
    seed=st.integers(0, 99),
)
def test_faults_fit_into_what_calibrates(lengths: list[int], channels: int, pairs: int, seed: int) -> None:
    held = series(lengths, channels)
    starts = {key: 3 * len(values) // 5 for key, values in held.items()}
    places = choose_places(held, starts, followed=40, pairs=pairs, rng=np.random.default_rng(seed))
    for place in places:
        assert starts[place.stream_id] <= place.row <= len(held[place.stream_id]) - 40
        assert set(place.channels) <= set(range(channels)) and len(set(place.channels)) == len(place.channels)
    assert len(places) == len({(place.stream_id, place.row) for place in places})
    assert sum(len(place.channels) for place in places) <= max(pairs, channels)
    counts = Counter(c for place in places for c in place.channels)
    assert not places or max(counts.values()) - min(counts[c] for c in range(channels)) <= 1
    room = sum(max(len(held[key]) - 39 - starts[key], 0) for key in held)
    assert len(places) == min(room, max(pairs // min(channels, pairs // 8), 1))


def test_places_are_spread_over_all_streams_in_proportion() -> None:
    held = series([1000, 3000, 30], 1)
    places = choose_places(held, dict.fromkeys(held, 100), followed=40, pairs=48, rng=np.random.default_rng(1))
    counts = Counter(place.stream_id for place in places)
    assert counts["s0"] == pytest.approx(48 * 861 / 3722, abs=1) and counts["s2"] == 0
    rows = sorted(place.row for place in places if place.stream_id == "s1")
    assert np.diff(rows).max() < 2 * 3722 / 48


def test_two_periods_of_a_wave_are_followed() -> None:
    assert [wave_period(rows) for rows in (0, 40, 400, 401, 1440)] == [0, 40, 400, 0, 0]
    assert [followed_rows(rows) for rows in (0, 40, 300, 1440)] == [128, 128, 600, 128]
