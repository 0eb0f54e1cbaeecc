"""Residual rows: means of what the network got wrong; what is wrong is refused before anything changes."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.wrong_arguments import Arguments, accepts_arrays_that_touch, refuses, refuses_a_wrong, refuses_a_wrong_slot

from streamlstm.kernels import advance_residuals, row_length

N, C, P, S, W = 5, 3, 2, 4, 2
OUTPUTS = ("rows", "means", "contribution", "expected")


def a_call() -> Arguments:
    """Five samples of three streams in four slots; one begins anew."""
    rng = np.random.default_rng(2)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "slots": np.array([0, 2, 0, 3, 2]),
        "x": normal(N, C),
        "observed": np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 1]], np.uint8),
        "steady": np.zeros(C, np.uint8),
        "directions": np.zeros(C, np.int8),
        "least": np.zeros(C, np.float32),
        "reset": np.array([0, 0, 0, 1, 0], np.uint8),
        "head": normal(N, C * (1 + P)),
        "scales": np.abs(normal(3, C)) + 0.1,
        "alphas": np.array([0.2, 0.05], np.float32),
        "burn_in": 1,
        "ages": np.array([5, 0, 6, 0, 1]),
        "rows": np.abs(normal(S, row_length(C, P, W))),
        "means": np.full((N, 3 * W), 99, np.float32),
        "contribution": np.full((N, C), 99, np.float32),
        "expected": np.full((N, C), 99, np.float32),
    }


def test_shares_add_up_and_rows_advance() -> None:
    a = a_call()
    before = a["rows"].copy()
    advance_residuals(**a)
    assert a["contribution"].sum(axis=1) == pytest.approx(np.ones(N), abs=1e-6)
    assert np.array_equal(a["expected"][0], before[0, :C])
    assert np.array_equal(a["expected"][4], a["head"][1, C : 2 * C]), "the forecast made one sample ago"
    assert not a["expected"][3].any(), "a stream that begins anew was forecast nothing"
    assert np.array_equal(a["rows"][1], before[1]), "a stream without a sample"
    assert np.array_equal(a["means"][2], a["means"][0]), "a sample without a value moves no mean"
    assert not np.array_equal(a["means"][0], before[0, C * (1 + P) : C * (1 + P) + 6])


def test_a_steady_channel_is_expected_to_stay_where_it_is() -> None:
    a = a_call() | {"steady": np.array([0, 1, 0], np.uint8)}
    last = a["rows"][0, 1]
    advance_residuals(**a)
    assert a["expected"][0, 1] == last
    assert a["expected"][2, 1] == a["x"][0, 1] and a["expected"][4, 1] == a["x"][1, 1]
    b = a_call() | {"steady": np.ones(C, np.uint8)}
    b["x"][0] = b["rows"][0, :C]
    begin = C * (1 + P)
    b["rows"][0, begin : begin + 6] = 0
    advance_residuals(**b)
    assert not b["means"][0].any(), "nothing moved, whatever the network says"


def test_deviations_that_do_not_count_are_none() -> None:
    a = a_call()
    advance_residuals(**a)
    for rules in ({"least": np.full(C, 1e6, np.float32)}, {"directions": np.array([1, -1, 1], np.int8)}):
        b = a_call() | rules
        advance_residuals(**b)
        assert (b["means"] <= a["means"]).all() and (b["means"] < a["means"]).any()
        assert np.array_equal(b["expected"], a["expected"])


@pytest.mark.parametrize("name", [name for name, value in a_call().items() if isinstance(value, np.ndarray)])
def test_an_array_that_does_not_fit_is_refused_before_anything_changes(name: str) -> None:
    refuses_a_wrong(name, advance_residuals, a_call(), OUTPUTS, grows="rows")


def test_slots_out_of_range_are_refused() -> None:
    refuses_a_wrong_slot(advance_residuals, a_call(), S)


def test_ages_that_cannot_be_are_refused() -> None:
    for row in range(N):
        a = a_call()
        a["ages"][row] = -3
        refuses(advance_residuals, a, "^ages: expected 0 or more, got -3", f"row {row}")
    refuses(advance_residuals, a_call() | {"burn_in": -1}, "^burn_in: expected 0 or more", "burn_in")


def test_a_head_without_a_forecast_or_with_half_a_one_is_refused() -> None:
    for outputs in (0, C, 2 * C + 1):
        head = np.ones((N, outputs), np.float32)
        refuses(advance_residuals, a_call() | {"head": head}, "^head: expected a reconstruction", str(outputs))


def test_any_number_of_widths_gives_the_same_means_for_those_in_common() -> None:
    a, b = a_call(), a_call()
    begin = C * (1 + P)
    more = np.zeros((S, row_length(C, P, 3)), np.float32)
    more[:, :begin], more[:, -C:] = a["rows"][:, :begin], a["rows"][:, -C:]
    for kind in range(3):
        more[:, begin + 3 * kind : begin + 3 * kind + 2] = a["rows"][:, begin + 2 * kind : begin + 2 * kind + 2]
    b |= {"rows": more, "alphas": np.array([0.2, 0.05, 0.01], np.float32), "means": np.empty((N, 9), np.float32)}
    advance_residuals(**a)
    advance_residuals(**b)
    assert np.array_equal(b["means"].reshape(N, 3, 3)[:, :, :2].reshape(N, 6), a["means"])
    assert not np.array_equal(b["means"][:, 2], b["means"][:, 1])
    refuses(advance_residuals, a_call() | {"alphas": np.empty(0, np.float32)}, "^alphas: expected at least one", "none")


def test_neighbours_in_memory_and_no_samples_are_accepted() -> None:
    accepts_arrays_that_touch(advance_residuals, a_call())
    of_samples = ("slots", "x", "observed", "reset", "head", "ages", "means", "contribution", "expected")
    a = a_call()
    advance_residuals(**(a | {name: a[name][:0] for name in of_samples}))
    assert np.array_equal(a["rows"], a_call()["rows"])


def test_arguments_of_one_type_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        advance_residuals(*a_call().values())
