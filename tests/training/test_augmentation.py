"""What augmentation changes, and what it leaves alone."""

import dataclasses

import numpy as np
import pytest

from streamlstm.training.causal.augmentation import Augmentation
from streamlstm.training.causal.padded_series import Batch, BatchSampler, PaddedSeries, TrainingSequence
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment

K, P, T, B, C = 5, 3, 8, 4, 3
OPTIONS = TrainerOptions(reconstruct=K, forecast=P, segment=T, batch=B, stretch=24, burn_in=2)


def source(rows: int = 200) -> PaddedSeries:
    """Every channel rises by its own slope, so a value says when it was."""
    rng = np.random.default_rng(3)
    time = np.arange(rows, dtype=np.float32)[:, None]
    values = (time + 1) * np.array([1.0, -2.0, 0.5], np.float32)
    segments = [Segment(values, rng.random(values.shape) > 0.1), Segment(values[:50] * 10, np.ones((50, C), bool))]
    return PaddedSeries(segments, reconstruct=K, forecast=P, segment=T)


def lanes_of(augmentation: Augmentation, track: PaddedSeries) -> BatchSampler:
    return BatchSampler(
        augmentation.track,
        batch=B,
        segment=T,
        refill=lambda: track.cut(stretch=OPTIONS.stretch, least=T, phase=lambda: 10),
        place=augmentation.place,
    )


def test_without_any_the_inputs_are_the_tracks_rows() -> None:
    track = source()
    augmentation = Augmentation(track, OPTIONS, np.random.default_rng(1))
    assert augmentation.track is track
    batch = lanes_of(augmentation, track).advance()
    assert batch is not None
    values, observed = augmentation.inputs(batch)
    np.testing.assert_array_equal(values, track.values[batch.rows])
    np.testing.assert_array_equal(observed, track.observed[batch.rows])


def test_jitter_and_dropped_channels_change_inputs_and_no_target() -> None:
    track = source()
    before = track.values.copy(), track.observed.copy()
    o = dataclasses.replace(OPTIONS, jitter=0.3, channel_drop=0.5)
    augmentation = Augmentation(track, o, np.random.default_rng(1))
    lanes = lanes_of(augmentation, track)
    drops = []
    for _ in range(40):
        batch = lanes.advance()
        assert batch is not None
        values, observed = augmentation.inputs(batch)
        is_dropped = ~values.any(axis=0)
        drops.append(is_dropped)
        assert not observed[:, is_dropped].any()
        added = (values - track.values[batch.rows])[:, ~is_dropped]
        assert 0.15 < added.std() < 0.45
        if len(drops) > 1:  # a lane goes without the same channels all along a stretch
            np.testing.assert_array_equal(is_dropped[~batch.fresh], drops[-2][~batch.fresh])
    assert 0.3 < np.mean(drops) < 0.7
    np.testing.assert_array_equal(track.values, before[0])
    np.testing.assert_array_equal(track.observed, before[1])


def test_scale_changes_inputs_and_targets_alike_by_channel() -> None:
    track = source()
    augmentation = Augmentation(track, dataclasses.replace(OPTIONS, scale=0.2), np.random.default_rng(1))
    stretch = TrainingSequence(track.series[0][0] + 30, track.series[0][0] + 54, track.series[0][1])
    at = augmentation.place(2, stretch)
    rows = stretch.until - stretch.begin + T + P
    copied = augmentation.track.values[at.begin : at.begin + rows]
    factor = copied / track.values[stretch.begin : stretch.begin + rows]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape), rtol=1e-5)
    assert len(set(factor[0].round(4))) == C and (np.abs(factor[0] - 1) < 1).all()
    np.testing.assert_array_equal(
        augmentation.track.observed[at.begin : at.begin + rows], track.observed[stretch.begin : stretch.begin + rows]
    )
    window = augmentation.track.windows[at.begin + 10 - K + 1].reshape(K + P, C)
    np.testing.assert_array_equal(window, copied[10 - K + 1 : 10 + P + 1])
    assert (at.until - at.begin, at.end - at.begin) == (24, rows)


def test_a_warped_stretch_holds_the_same_curve_at_another_speed() -> None:
    track = source()
    augmentation = Augmentation(track, dataclasses.replace(OPTIONS, time_warp=0.4), np.random.default_rng(5))
    stretch = TrainingSequence(track.series[0][0] + 30, track.series[0][0] + 54, track.series[0][1])
    at = augmentation.place(0, stretch)
    copied = augmentation.track.values[at.begin : at.end].astype(np.float64)
    played = copied[:, 0] - 31  # the first channel counts rows
    assert played[0] == 0 and played[-1] == pytest.approx(len(played) - 1, abs=1e-3)
    speed = np.diff(played)
    assert (speed > 0.1).all() and speed.std() > 0.05
    np.testing.assert_allclose(copied[:, 1], -2 * copied[:, 0], rtol=1e-5)
    np.testing.assert_allclose(copied[:, 2], 0.5 * copied[:, 0], rtol=1e-5)


def test_a_lane_sees_nothing_of_the_stretch_before_or_beyond_the_series() -> None:
    track = source()
    augmentation = Augmentation(track, dataclasses.replace(OPTIONS, scale=0.2), np.random.default_rng(1))
    begin, end = track.series[1]
    augmentation.place(1, TrainingSequence(track.series[0][0], track.series[0][0] + 24, track.series[0][1]))
    at = augmentation.place(1, TrainingSequence(end - 6, end, end))
    assert at.end - at.begin == 6
    region = augmentation.track.series[1]
    assert augmentation.track.observed[at.begin : at.end].all()
    assert not augmentation.track.observed[at.end : region[1]].any()
    assert not augmentation.track.values[at.end : region[1]].any()
    before = augmentation.track.observed_before
    assert before[region[1]] - before[region[0]] == 6 * C
    assert begin < end


def test_lanes_run_over_all_rows_of_the_copies() -> None:
    track = source()
    augmentation = Augmentation(track, dataclasses.replace(OPTIONS, scale=1e-9), np.random.default_rng(1))
    plain, changed = lanes_of(Augmentation(track, OPTIONS, np.random.default_rng(1)), track), None
    changed = lanes_of(augmentation, track)
    for _ in range(60):
        one, two = plain.advance(), changed.advance()
        assert isinstance(one, Batch) and isinstance(two, Batch)
        live = one.rows < one.end
        np.testing.assert_array_equal(two.rows < two.end, live)
        np.testing.assert_array_equal(augmentation.track.values[two.rows][live], track.values[one.rows][live])
        np.testing.assert_array_equal(one.fresh, two.fresh)
