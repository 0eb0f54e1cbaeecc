"""Tails and scores of streams: as their readable twin has them; what is wrong is refused before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.kernels import BASE_SURPRISE, combine_tails, score_streams
from streamlstm.scoring.tails import Tail
from streamlstm.types import Status

N, S, K = 6, 4, 5


def tails(parts: int) -> Arguments:
    """Knots and fits of as many parts; the last but one has two equal knots, the last an exponential tail."""
    rng = np.random.default_rng(parts)
    statistics = np.cumsum(rng.uniform(0.1, 1, (parts, K)), axis=1)
    statistics[-2:, 2] = statistics[-2:, 1]
    fits = rng.uniform(0.1, 0.5, (parts, 2))
    fits[-1, 0] = 0.0
    surprises, weights = np.cumsum(rng.uniform(0, 1, (parts, K)), axis=1), rng.uniform(0.2, 2, parts)
    return {"statistics": statistics, "surprises": surprises, "fits": fits, "weights": weights}


def a_combination(parts: int = 4) -> Arguments:
    means = np.random.default_rng(3).uniform(0, 6, (N, parts)).astype(np.float32)
    return {"means": means, **tails(parts), "combined": np.full(N, 99.0)}


def a_call() -> Arguments:
    """Six rows of three streams in four slots: late, after a gap, young, forgotten, and two like most."""
    one = tails(1)
    return {
        "slots": np.array([0, 0, 1, 3, 3, 1]),
        "combined": np.array([1.0, 2.0, 3.0, 1.5, 9.0, 0.2]),
        "row_ages": np.array([70, 71, 5, 80, 81, 90]),
        "reset": np.array([0, 1, 0, 2, 0, 0], np.uint8),
        "measured": np.ones(N, np.uint8),
        "statistic": one["statistics"][0],
        "surprise": one["surprises"][0],
        "fit": one["fits"][0],
        "budget_surprise": 9.0,
        "calibration_rows": 1000.0,
        "cluster_rows": 4.0,
        "rate": 0.01,
        "warm_up": 50,
        "levels": np.array([4.5, 5.0, 6.0, 7.0]),
        "excesses": np.array([1.5, 2.0, 3.0, 4.0]),
        "kept_levels": np.array([4.5, 5.0, 6.0, 7.0]),
        "cluster_sums": np.array([0.0, 0.0, 0.0, 9.0]),
        "clusters": np.array([0, 0, 0, 9]),
        "waits": np.array([0, 0, 0, 9]),
        "guards": np.array([0, 0, 0, 9]),
        "held": np.array([0, 0, 0, 9]),
        "status": np.array(
            [Status.LATE, Status.GAP, Status.READY, Status.READY, Status.IMPUTED, Status.READY], np.uint8
        ),
        "score": np.full(N, 99.0),
        "p_value": np.full(N, 99.0),
    }


@pytest.mark.parametrize("parts", [1, 2, 6, 9])
def test_tails_are_combined_as_their_readable_twin_has_them(parts: int) -> None:
    a = a_combination(parts)
    combine_tails(**a)
    expected = np.zeros(N)
    for k in range(parts):
        tail = Tail(a["statistics"][k], a["surprises"][k], shape=a["fits"][k, 0], scale=a["fits"][k, 1])
        expected += a["weights"][k] * tail.surprise_of(a["means"][:, k].astype(np.float64))
    assert a["combined"] == pytest.approx(expected, rel=1e-12)


def grouped() -> Arguments:
    return a_combination(6) | {"ends": np.array([1, 4, 6]), "said": np.full((N, 3), 99.0)}


def test_what_groups_of_parts_say_adds_up_to_what_all_of_them_say() -> None:
    a, plain = grouped(), a_combination(6)
    combine_tails(**a)
    combine_tails(**plain)
    assert np.array_equal(a["combined"], plain["combined"])
    for g, parts in enumerate((slice(0, 1), slice(1, 4), slice(4, 6))):
        alone = {name: value[parts] for name, value in tails(6).items()}
        combined = np.empty(N)
        combine_tails(np.ascontiguousarray(a["means"][:, parts]), **alone, combined=combined)
        assert np.array_equal(a["said"][:, g], combined)


@pytest.mark.parametrize("name", ["means", "ends", "said"])
def test_groups_that_do_not_fit_are_refused(name: str) -> None:
    refuses_a_wrong(name, combine_tails, grouped(), ("combined", "said"))


@pytest.mark.parametrize(("ends", "last"), [([1, 4, 5], 5), ([4, 1, 6], 6), ([0, 3, 6], 6), ([1, 4, 7], 7)])
def test_groups_hold_every_part_once(ends: list[int], last: int) -> None:
    a = grouped() | {"ends": np.array(ends)}
    refuses(combine_tails, a, f"^ends: expected numbers that rise to the 6 parts, got {last} as the last", str(ends))


def test_rows_without_a_score_and_streams_that_begin_again() -> None:
    a = a_call()
    score_streams(**a)
    assert np.isnan(a["score"]).tolist() == np.isnan(a["p_value"]).tolist() == [True, True, True, False, False, False]
    assert a["status"].tolist() == [
        Status.LATE,
        Status.GAP,
        Status.WARMING,
        Status.READY,
        Status.IMPUTED,
        Status.READY,
    ]
    assert (a["levels"][:3:2] == [4.5, 6.0]).all() and (a["excesses"][:3:2] == [1.5, 3.0]).all()
    assert a["levels"][1] == 5.0 * (1 - 0.02 * 0.01), "a sample below its stream's level lowers it"
    assert a["levels"][3] == pytest.approx(BASE_SURPRISE * 1.05), (
        "forgotten, and then an alarm, which counts as one event"
    )
    assert a["guards"][3] == 50
    assert a["held"].tolist() == [0, 0, 0, 1]


def test_a_row_in_which_nothing_was_measured_has_no_score_and_teaches_nothing() -> None:
    a, b = a_call(), a_call()
    b["measured"][3:] = 0
    score_streams(**a)
    score_streams(**b)
    assert np.isnan(b["score"]).all() and np.isnan(b["p_value"]).all()
    assert np.array_equal(a["status"], b["status"])
    assert b["levels"].tolist() == [4.5, 5.0, 6.0, BASE_SURPRISE], "one that was forgotten begins again"
    for name in ("guards", "held", "clusters", "waits", "cluster_sums"):
        assert b[name].tolist() == [0, 0, 0, 0], name


def test_a_part_s_surprise_and_a_stream_s_have_a_limit() -> None:
    """A channel that did not move in calibration has a tail without width; then it moves."""
    a = a_combination()
    a["fits"][:, 1] = 1e-12
    a["means"][:] = 300
    combine_tails(**a)
    assert a["combined"] == pytest.approx(np.full(N, 60 * a["weights"].sum()))
    b = a_call()
    b["fit"] = np.array([0.0, 1e-9])
    score_streams(**b)
    assert np.nanmax(b["score"] * np.log(5 * 1000 / 4)) < 200


@pytest.mark.parametrize("name", [name for name, value in a_combination().items() if isinstance(value, np.ndarray)])
def test_combine_refuses_an_array_that_does_not_fit(name: str) -> None:
    refuses_a_wrong(name, combine_tails, a_combination(), ("combined",))


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_score_refuses_an_array_that_does_not_fit_before_anything_changes(name: str) -> None:
    learnt = ("levels", "excesses", "kept_levels", "cluster_sums", "clusters", "waits", "guards", "held")
    refuses_a_wrong(name, score_streams, a_call(), (*learnt, "status", "score", "p_value"))


def test_slots_out_of_range_are_refused() -> None:
    refuses_a_wrong_slot(score_streams, a_call(), S)


def test_knots_that_fall_are_refused() -> None:
    for value in (-1.0, np.nan):
        for k in range(K):
            a, whole = a_call(), a_combination()
            a["statistic"][k] = value if k else (np.nan if value != value else 1e9)
            refuses(score_streams, a, "^statistic: expected knots that do not fall", f"{value} at {k}")
            whole["statistics"][2, k] = a["statistic"][k]
            refuses(combine_tails, whole, "^statistics: expected knots that do not fall", f"{value} at {k}")


def test_clusters_of_no_rows_are_refused() -> None:
    for cluster_rows in (0.0, -1.0, np.nan):
        refuses(score_streams, a_call() | {"cluster_rows": cluster_rows}, "^cluster_rows: expected", str(cluster_rows))


def test_neighbours_in_memory_and_no_samples_are_accepted() -> None:
    accepts_arrays_that_touch(combine_tails, a_combination())
    accepts_arrays_that_touch(score_streams, a_call())
    of_rows = ("slots", "combined", "row_ages", "reset", "measured", "status", "score", "p_value")
    a = a_call()
    score_streams(**(a | {name: a[name][:0] for name in of_rows}))
    assert a["levels"].tolist() == [4.5, 5.0, 6.0, 7.0]


def test_arguments_of_one_type_are_given_by_name() -> None:
    for face, arguments in ((score_streams, a_call()), (combine_tails, a_combination())):
        with pytest.raises(TypeError):
            face(*arguments.values())
