"""Which windows whole-window training sees: cut at any phase, some shortened, some with gaps, in the shares it says."""

from __future__ import annotations

import numpy as np
import pytest

from streamlstm.model.windows.batch import Window, WindowBatch
from streamlstm.training.segments import Segment
from streamlstm.training.windows.sampler import WindowSampler, cut_windows, gather, with_gaps


def part(rows: int, channels: int = 2) -> Segment:
    x = np.arange(rows * channels, dtype=np.float32).reshape(rows, channels)
    return Segment(x, np.ones(x.shape, bool))


@pytest.mark.parametrize(
    ("count", "rows", "phase", "expected"),
    [
        (10, 4, 2, [(0, 2), (2, 4), (6, 4)]),  # a half is just enough
        (10, 4, 1, [(1, 4), (5, 4)]),
        (12, 5, 2, [(2, 5), (7, 5)]),
        (13, 5, 0, [(0, 5), (5, 5), (10, 3)]),
        (3, 8, 0, [(0, 3)]),  # all there is, however short
        (3, 8, 7, [(0, 3)]),
        (3, 8, 1, [(1, 2)]),
        (1, 8, 0, [(0, 1)]),
    ],
)
def test_windows_follow_one_another_and_pieces_below_half_are_left_out(
    count: int, rows: int, phase: int, expected: list[tuple[int, int]]
) -> None:
    windows = cut_windows([part(40), part(count)], rows, lambda: phase)
    assert [(window.begin, window.rows) for window in windows if window.series == 1] == expected


def test_an_epoch_holds_every_window_once_and_a_quarter_is_shortened() -> None:
    rows, parts = 21, [part(6300), part(4200)]
    sampler = WindowSampler(parts, rows, np.random.default_rng(3))
    drawn = [sampler.draw() for _ in range(4000)]
    begins = [(window.series, window.begin) for window in drawn[:480]]  # 500 windows, but for pieces at the ends
    assert len(set(begins)) == 480 and begins != sorted(begins)
    assert {begin % rows for series, begin in begins if series == 0 and begin} != {
        window.begin % rows for window in drawn[600:900] if window.series == 0 and window.begin
    }
    inner = [window for window in drawn if window.begin and window.begin + rows <= len(parts[window.series].x)]
    lengths = np.array([window.rows for window in inner])
    assert set(lengths) == set(range(11, 22))  # from half a window on
    assert (lengths < rows).mean() == pytest.approx(0.25 * 10 / 11, abs=0.03)


def test_a_sampler_goes_on_from_its_state() -> None:
    own, rng = np.random.default_rng(5), np.random.default_rng()
    one = WindowSampler([part(300)], 16, own)
    for _ in range(7):
        one.draw()
    state = one.export()
    assert state["waiting"].shape[1] == 3 and state["waiting"].dtype == np.int64
    assert WindowSampler([part(300)], 16, rng).export()["waiting"].shape == (0, 3)
    other = WindowSampler([part(300)], 16, rng)
    other.restore(state)
    rng.bit_generator.state = own.bit_generator.state  # which is the owner's to save
    assert [one.draw() for _ in range(60)] == [other.draw() for _ in range(60)]


def test_some_windows_lose_a_channel_and_some_lose_values() -> None:
    shape = (40, 3000, 3)
    batch = WindowBatch(np.full(shape, 2, np.float32), np.ones(shape, np.float32), np.full(3000, 40))
    changed = with_gaps(batch, np.random.default_rng(1))
    np.testing.assert_array_equal(changed.x, 2 * changed.observed)
    missing = 1 - changed.observed.mean(axis=0)  # by window and channel
    without = (missing == 1).any(axis=1)
    assert without.mean() == pytest.approx(0.1, abs=0.02)
    assert (missing[without].sum(axis=1) == 1).all()  # one channel, and nothing else
    np.testing.assert_allclose(missing[without].mean(axis=0), 1 / 3, atol=0.1)
    gaps = ~without & (missing > 0).any(axis=1)
    assert gaps.mean() == pytest.approx(0.1, abs=0.02)
    assert missing[gaps].mean() == pytest.approx(0.2, abs=0.02)
    assert batch.observed.all() and (batch.x == 2).all()


def test_the_only_channel_is_not_lost_whole() -> None:
    shape = (40, 2000, 1)
    batch = WindowBatch(np.ones(shape, np.float32), np.ones(shape, np.float32), np.full(2000, 40))
    assert not (with_gaps(batch, np.random.default_rng(1)).observed.sum(axis=0) == 0).any()
    two = np.ones((40, 2000, 2), np.float32)
    lost = with_gaps(WindowBatch(two, two.copy(), np.full(2000, 40)), np.random.default_rng(1))
    assert (lost.observed.sum(axis=0) == 0).any()


def test_a_window_is_gathered_from_its_series() -> None:
    batch = gather([part(9), part(20)], [Window(1, 4, 3), Window(0, 0, 5)])
    np.testing.assert_array_equal(batch.x[:3, 0], part(20).x[4:7])
    np.testing.assert_array_equal(batch.x[:, 1], part(9).x[:5])
    assert not batch.observed[3:, 0].any() and batch.lengths.tolist() == [3, 5]
