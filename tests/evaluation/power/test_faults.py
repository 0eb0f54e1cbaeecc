"""What each kind of fault makes of a recording, against its formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamlstm.evaluation.power.faults import KINDS, FaultKind, Site, kinds_for

AT, ROWS, PERIOD = 50, 32, 10
KIND = {kind.name: kind for kind in KINDS}


@pytest.fixture
def site() -> Site:
    rng = np.random.default_rng(3)
    column = (20 + 3 * np.sin(2 * np.pi * np.arange(140) / PERIOD) + rng.normal(0, 0.1, 140)).astype(np.float32)
    column[[AT - 1, AT + 4, AT + 20]] = np.nan
    return Site(column, AT, ROWS, 2.5, -1.0, PERIOD, rng.normal(size=ROWS))


def added(kind: str, site: Site, size: float) -> list[float]:
    return list(np.delete(KIND[kind].inject(site, size) - site.window, [4, 20]))


def test_what_is_added(site: Site) -> None:
    rows = [i for i in range(ROWS) if i not in (4, 20)]
    assert added("spike", site, 4) == pytest.approx([-10.0] + [0.0] * (len(rows) - 1))
    assert added("step", site, 4) == pytest.approx([-10.0] * len(rows))
    assert added("drift", site, 4) == pytest.approx([-10.0 * min((i + 1) / 16, 1) for i in rows])
    assert added("noise", site, 4) == pytest.approx([10.0 * site.noise[i] for i in rows])


def test_what_takes_the_place_of_values(site: Site) -> None:
    """The value before the fault is missing, so a stuck channel repeats the one before that."""
    observed = np.isfinite(site.window)
    stuck, cut_out = KIND["stuck"].inject(site, 0), KIND["cut-out"].inject(site, 0)
    assert (stuck[observed] == site.column[AT - 2]).all() and (cut_out[observed] == 0).all()
    assert np.isnan(KIND["no values"].inject(site, 0)).all()
    beat = KIND["missing beat"].inject(site, 0)
    before = site.column[: AT - 1].astype(float)[-PERIOD:]
    assert np.delete(beat[:PERIOD], 4) == pytest.approx(np.median(before))
    assert np.array_equal(beat[PERIOD:], site.window[PERIOD:], equal_nan=True)


def test_a_smoother_channel_keeps_its_mean_and_a_share_of_its_deviation(site: Site) -> None:
    whole = replace(site, column=np.where(np.isnan(site.column), np.float32(20), site.column))
    smoother = KIND["smoother"].inject(whole, 4)
    assert smoother.mean() == pytest.approx(whole.window.mean(), abs=0.3)
    assert smoother.std() == pytest.approx(whole.window.std() / 4, rel=0.15)


def test_a_faster_channel_skips_rows_as_far_as_there_are_any(site: Site) -> None:
    twice = KIND["faster"].inject(site, 2.0)
    expected = site.column[AT : AT + 2 * ROWS : 2].astype(float)
    assert np.array_equal(twice, expected, equal_nan=True)
    short = replace(site, column=site.column[: AT + ROWS])
    assert np.array_equal(KIND["faster"].inject(short, 2.0)[16:], short.window[16:], equal_nan=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_missing_values_stay_missing_and_the_recording_stays_as_it_was(site: Site, kind: FaultKind) -> None:
    before = site.column.copy()
    for size in kind.sizes:
        faulty = kind.inject(site, size or 0.0)
        assert faulty.shape == (ROWS,)
        assert kind.name == "faster" or np.isnan(faulty[[4, 20]]).all()
    assert np.array_equal(site.column, before, equal_nan=True)


@pytest.mark.parametrize("kind", ["spike", "step", "drift", "noise"])
def test_a_fault_of_no_size_changes_nothing(site: Site, kind: str) -> None:
    assert np.array_equal(KIND[kind].inject(site, 0.0), site.window, equal_nan=True)


def test_nothing_was_ever_observed(site: Site) -> None:
    empty = replace(site, column=np.full(140, np.nan, np.float32))
    for kind in KINDS:
        assert np.isnan(kind.inject(empty, 2.0)).all()


def test_rates_and_beats_need_a_period() -> None:
    assert {kind.name for kind in KINDS} - {kind.name for kind in kinds_for(0)} == {"faster", "missing beat"}
    assert kinds_for(25) == KINDS


def test_words() -> None:
    assert KIND["step"].phrase_of(1.0) == "a step of 1 usual deviation" and KIND["step"].label_of(1.0) == "1"
    assert KIND["drift"].phrase_of(2.0) == "a drift by 2 usual deviations"
    assert KIND["smoother"].phrase_of(4.0) == "activity 4 times less" and KIND["smoother"].label_of(4.0) == "1/4"
    assert KIND["stuck"].phrase_of(None) == "a stuck value" and KIND["stuck"].label_of(None) == ""
