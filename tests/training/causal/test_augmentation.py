"""What augmentation changes, and what it leaves alone."""

import dataclasses

import numpy as np
import pytest

from streamlstm.training.causal.augmentation import Augmentation
from streamlstm.training.causal.batch_sampler import Batch, BatchSampler
from streamlstm.training.causal.padded_series import PaddedSeries, TrainingSequence
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment

K, P, T, B, C = 5, 3, 8, 4, 3
OPTIONS = TrainerOptions(reconstruct=K, forecast=P, bptt_steps=T, batch=B, reset_every=24, burn_in=2)


def source(rows: int = 200) -> PaddedSeries:
    """Every channel rises by its own slope, so a value says when it was."""
    rng = np.random.default_rng(3)
    time = np.arange(rows, dtype=np.float32)[:, None]
    values = (time + 1) * np.array([1.0, -2.0, 0.5], np.float32)
    segments = [Segment(values, rng.random(values.shape) > 0.1), Segment(values[:50] * 10, np.ones((50, C), bool))]
    return PaddedSeries(segments, reconstruct=K, forecast=P, bptt_steps=T)


def sampler_of(augmentation: Augmentation, series: PaddedSeries) -> BatchSampler:
    return BatchSampler(
        augmentation.series,
        batch=B,
        bptt_steps=T,
        refill=lambda: series.cut(rows=OPTIONS.reset_every, least=T, phase=lambda: 10),
        place=augmentation.place,
    )


def test_without_any_the_inputs_are_the_tracks_rows() -> None:
    series = source()
    augmentation = Augmentation(series, OPTIONS, np.random.default_rng(1))
    assert augmentation.series is series
    batch = sampler_of(augmentation, series).advance()
    assert batch is not None
    values, observed = augmentation.inputs(batch)
    np.testing.assert_array_equal(values, series.values[batch.rows])
    np.testing.assert_array_equal(observed, series.observed[batch.rows])


def test_jitter_and_dropped_channels_change_inputs_and_no_target() -> None:
    series = source()
    before = series.values.copy(), series.observed.copy()
    o = dataclasses.replace(OPTIONS, jitter=0.3, channel_drop=0.5)
    augmentation = Augmentation(series, o, np.random.default_rng(1))
    sampler = sampler_of(augmentation, series)
    drops = []
    for _ in range(40):
        batch = sampler.advance()
        assert batch is not None
        values, observed = augmentation.inputs(batch)
        is_dropped = ~values.any(axis=0)
        drops.append(is_dropped)
        assert not observed[:, is_dropped].any()
        added = (values - series.values[batch.rows])[:, ~is_dropped]
        assert 0.15 < added.std() < 0.45
        if len(drops) > 1:  # a lane goes without the same channels all along a stretch
            np.testing.assert_array_equal(is_dropped[~batch.fresh], drops[-2][~batch.fresh])
    assert 0.3 < np.mean(drops) < 0.7
    np.testing.assert_array_equal(series.values, before[0])
    np.testing.assert_array_equal(series.observed, before[1])


def test_scale_changes_inputs_and_targets_alike_by_channel() -> None:
    series = source()
    augmentation = Augmentation(series, dataclasses.replace(OPTIONS, scale=0.2), np.random.default_rng(1))
    stretch = TrainingSequence(series.spans[0][0] + 30, series.spans[0][0] + 54, series.spans[0][1])
    at = augmentation.place(2, stretch)
    rows = stretch.until - stretch.begin + T + P
    copied = augmentation.series.values[at.begin : at.begin + rows]
    factor = copied / series.values[stretch.begin : stretch.begin + rows]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape), rtol=1e-5)
    assert len(set(factor[0].round(4))) == C and (np.abs(factor[0] - 1) < 1).all()
    np.testing.assert_array_equal(
        augmentation.series.observed[at.begin : at.begin + rows], series.observed[stretch.begin : stretch.begin + rows]
    )
    window = augmentation.series.windows[at.begin + 10 - K + 1].reshape(K + P, C)
    np.testing.assert_array_equal(window, copied[10 - K + 1 : 10 + P + 1])
    assert (at.until - at.begin, at.end - at.begin) == (24, rows)


def test_a_warped_stretch_holds_the_same_curve_at_another_speed() -> None:
    series = source()
    augmentation = Augmentation(series, dataclasses.replace(OPTIONS, time_warp=0.4), np.random.default_rng(5))
    stretch = TrainingSequence(series.spans[0][0] + 30, series.spans[0][0] + 54, series.spans[0][1])
    at = augmentation.place(0, stretch)
    copied = augmentation.series.values[at.begin : at.end].astype(np.float64)
    played = copied[:, 0] - 31  # the first channel counts rows
    assert played[0] == 0 and played[-1] == pytest.approx(len(played) - 1, abs=1e-3)
    speed = np.diff(played)
    assert (speed > 0.1).all() and speed.std() > 0.05
    np.testing.assert_allclose(copied[:, 1], -2 * copied[:, 0], rtol=1e-5)
    np.testing.assert_allclose(copied[:, 2], 0.5 * copied[:, 0], rtol=1e-5)


def test_a_lane_sees_nothing_of_the_stretch_before_or_beyond_the_series() -> None:
    series = source()
    augmentation = Augmentation(series, dataclasses.replace(OPTIONS, scale=0.2), np.random.default_rng(1))
    begin, end = series.spans[1]
    augmentation.place(1, TrainingSequence(series.spans[0][0], series.spans[0][0] + 24, series.spans[0][1]))
    at = augmentation.place(1, TrainingSequence(end - 6, end, end))
    assert at.end - at.begin == 6
    region = augmentation.series.spans[1]
    assert augmentation.series.observed[at.begin : at.end].all()
    assert not augmentation.series.observed[at.end : region[1]].any()
    assert not augmentation.series.values[at.end : region[1]].any()
    before = augmentation.series.observed_before
    assert before[region[1]] - before[region[0]] == 6 * C
    assert begin < end


def test_lanes_run_over_all_rows_of_the_copies() -> None:
    series = source()
    augmentation = Augmentation(series, dataclasses.replace(OPTIONS, scale=1e-9), np.random.default_rng(1))
    plain, changed = sampler_of(Augmentation(series, OPTIONS, np.random.default_rng(1)), series), None
    changed = sampler_of(augmentation, series)
    for _ in range(60):
        one, two = plain.advance(), changed.advance()
        assert isinstance(one, Batch) and isinstance(two, Batch)
        live = one.rows < one.end
        np.testing.assert_array_equal(two.rows < two.end, live)
        np.testing.assert_array_equal(augmentation.series.values[two.rows][live], series.values[one.rows][live])
        np.testing.assert_array_equal(one.fresh, two.fresh)


@pytest.mark.parametrize("rows", [24 + T + P, 9, 3, 2, 1])
@pytest.mark.parametrize("warp", [0.3, 3.0])
def test_a_warped_sequence_is_played_at_the_drawn_speeds_and_scaled_by_the_drawn_factors(
    rows: int, warp: float
) -> None:
    """Row by row: four speeds, none below a half, linear between them; all of it from the first row to the last."""
    rng, draws = np.random.default_rng(9), np.random.default_rng(2)
    x = rng.normal(size=(60, C)).astype(np.float32)
    seen = rng.random(x.shape) > 0.3
    series = PaddedSeries([Segment(x, seen)], reconstruct=K, forecast=P, bptt_steps=T)
    o = dataclasses.replace(OPTIONS, time_warp=warp, scale=0.2)
    augmentation = Augmentation(series, o, np.random.default_rng(2))
    begin, end = series.spans[0]
    first = 20 if rows > 24 else 60 - rows  # in the middle of the series, or at its end
    at = augmentation.place(1, TrainingSequence(begin + first, min(begin + first + 24, end), end))
    assert at.end - at.begin == rows

    speeds = [max(1 + warp * float(one), 0.5) for one in draws.standard_normal(4)]
    factors = 1 + 0.2 * draws.standard_normal(C, np.float32)
    played = [0.0]
    for step in range(rows - 1):
        place = 3 * step / max(rows - 2, 1)
        knot = min(int(place), 2)
        played.append(played[-1] + speeds[knot] + (place - knot) * (speeds[knot + 1] - speeds[knot]))
    played = [one * (rows - 1) / max(played[-1], 1.0) for one in played]
    for row, place in enumerate(played):
        low = min(int(place + 1e-9), rows - 1)
        high, share = min(low + 1, rows - 1), max(place - low, 0.0)
        expected = ((1 - share) * x[first + low] + share * x[first + high]) * factors
        np.testing.assert_allclose(augmentation.series.values[at.begin + row], expected, rtol=0, atol=1e-4)
        is_seen = augmentation.series.observed[at.begin + row]
        np.testing.assert_array_equal(is_seen, seen[first + round(place)])


@pytest.mark.parametrize(
    "changes", [{"jitter": 0.3}, {"scale": 0.2}, {"time_warp": 0.2}, {"channel_drop": 0.5}], ids=str
)
def test_another_augmentation_goes_on_from_the_state(changes: dict[str, float]) -> None:
    series = source()
    o = dataclasses.replace(OPTIONS, **changes)  # type: ignore[arg-type]  # all of these are numbers
    rngs = np.random.default_rng(4), np.random.default_rng(5)
    one, other = (Augmentation(series, o, rng) for rng in rngs)
    sampler = sampler_of(one, series)
    batches = [sampler.advance() for _ in range(3)]
    other.restore({name: array.copy() for name, array in one.export().items()})
    rngs[1].bit_generator.state = rngs[0].bit_generator.state
    assert batches[-1] is not None
    for a, b in zip(one.inputs(batches[-1]), other.inputs(batches[-1]), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.series.observed_before, other.series.observed_before)
