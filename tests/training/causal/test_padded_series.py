"""Padded series and the lanes over them: what a row is compared with, and what no lane ever sees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlstm.errors import DataError, ShapeError
from streamlstm.training.causal.batch_sampler import BatchSampler
from streamlstm.training.causal.padded_series import PaddedSeries
from streamlstm.training.segments import Segment


def numbered(index: int, rows: int, channels: int) -> Segment:
    """Values that say where they come from: series, row, channel."""
    row, channel = np.meshgrid(np.arange(rows), np.arange(channels), indexing="ij")
    return Segment(((index + 1) * 10_000 + row * 10 + channel + 1).astype(np.float32), np.ones((rows, channels), bool))


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    channels=st.integers(1, 3),
    k=st.integers(1, 9),
    p=st.integers(1, 5),
    steps=st.integers(1, 12),
    batch=st.integers(1, 5),
    stretch=st.integers(1, 30),
    seed=st.integers(0, 9),
)
@settings(max_examples=80)
def test_windows_are_the_rows_around_and_never_of_another_series(
    lengths: list[int], channels: int, k: int, p: int, steps: int, batch: int, stretch: int, seed: int
) -> None:
    parts = [numbered(index, rows, channels) for index, rows in enumerate(lengths)]
    series = PaddedSeries(parts, reconstruct=k, forecast=p, bptt_steps=steps)
    rng = np.random.default_rng(seed)
    cut = series.cut(rows=stretch, least=steps, phase=lambda: int(rng.integers(stretch)))
    waiting = [cut]
    sampler = BatchSampler(series, batch=batch, bptt_steps=steps, refill=lambda: waiting.pop() if waiting else [])
    begins = [begin for begin, _ in series.spans]
    seen: set[int] = set()
    before = None
    while (step := sampler.advance()) is not None:
        if before is not None:  # a lane goes on where it stopped unless it is fresh
            np.testing.assert_array_equal(step.rows[0][~step.fresh], before.rows[-1][~step.fresh] + 1)
        before = step
        for lane in range(batch):
            index = next((i for i, (a, b) in enumerate(series.spans) if a <= step.begin[lane] < b), None)
            if index is None:  # an idle lane
                assert (step.rows[:, lane] >= step.end[lane]).all()
                continue
            assert step.end[lane] == series.spans[index][1]
            for row in step.rows[:, lane]:
                window = series.windows[row - k + 1].reshape(k + p, channels)
                observed = series.observed_windows[row - k + 1].reshape(k + p, channels)
                at = row - begins[index] + np.arange(-k + 1, p + 1)
                inside = (at >= 0) & (at < lengths[index])
                np.testing.assert_array_equal(observed, np.repeat(inside[:, None], channels, axis=1))
                np.testing.assert_array_equal(window[inside], parts[index].x[at[inside]])
                assert not window[~inside].any()
                if row < step.end[lane]:
                    seen.add(int(row))
    assert len(seen) == sum(lengths)  # every row of every series was passed


def test_lanes_refill_for_ever_when_there_are_more_lanes_than_stretches() -> None:
    series = PaddedSeries([numbered(0, 7, 2)], reconstruct=3, forecast=2, bptt_steps=4)
    sampler = BatchSampler(
        series, batch=3, bptt_steps=4, refill=lambda: series.cut(rows=100, least=4, phase=lambda: 50)
    )
    assert sampler.epochs == 0
    (first, *epochs), (second, _), (third, last) = ((sampler.advance(), sampler.epochs) for _ in range(3))
    assert (*epochs, last) == (3, 6)  # each of three lanes asked for more, twice
    assert first is not None and second is not None and third is not None
    assert first.fresh.all() and not second.fresh.any() and third.fresh.all()
    np.testing.assert_array_equal(first.rows, third.rows)


def test_windows_are_views() -> None:
    series = PaddedSeries([numbered(0, 1000, 3)], reconstruct=40, forecast=4, bptt_steps=8)
    assert np.shares_memory(series.windows, series.values)
    assert series.windows.shape[1] == 3 * 44


def test_segments_refuse_what_they_cannot_hold() -> None:
    x = np.zeros((4, 2), np.float32)
    with pytest.raises(ShapeError, match=r"observed: expected bool \[4, 2\]"):
        Segment(x, np.ones((4, 1), bool))
    with pytest.raises(ShapeError, match="float64"):
        Segment(x.astype(np.float64), np.ones((4, 2), bool))
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="row 2: expected finite"):
        Segment(x, np.ones((4, 2), bool))
