"""First values within their bounds, and how parameters become a network and come from one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streamlstm.errors import UsageError
from streamlstm.model.network import Architecture
from streamlstm.training.parameters import initial_parameters, take_over, to_network, trained_names

CELLS = ("lstm", "peephole")
WIDE = Architecture(30, 40, CELLS, forecast=2, reconstruct=3, projection=25)


def test_first_values_are_uniform_within_their_bounds() -> None:
    parameters = initial_parameters(WIDE, np.random.default_rng(3))
    bounds = {
        "layers.0.w_ih": math.sqrt(6 / (30 + 40)),
        "layers.0.w_hr": math.sqrt(6 / (40 + 25)),
        "layers.1.w_ih": math.sqrt(6 / (25 + 40)),
        "layers.1.peephole": 0.1,
        "head.weight": 1 / math.sqrt(25),
    }
    for name, bound in bounds.items():
        values = parameters[name]
        assert 0.95 * bound < values.max() <= np.float32(bound), name
        assert 0.95 * bound < -values.min() <= np.float32(bound), name
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
    assert parameters["head.weight"].shape == (30 * 5, 25) and not parameters["head.bias"].any()
    signs = [np.sign(np.diag(initial_parameters(WIDE, np.random.default_rng(n))["layers.0.w_hh"])) for n in range(9)]
    assert abs(np.mean(signs)) < 0.3  # of all orthonormal matrices, none is likelier


def test_a_spread_begins_as_a_variance_of_one() -> None:
    plain, spread = (initial_parameters(WIDE, np.random.default_rng(3), has_spread=has) for has in (False, True))
    assert spread.keys() - plain.keys() == {"spread.weight", "spread.bias"}
    for name in ("weight", "bias"):
        assert spread[f"spread.{name}"].shape == plain[f"head.{name}"].shape and not spread[f"spread.{name}"].any()


def test_a_network_holds_the_end_of_the_head_and_gives_it_back() -> None:
    parameters = initial_parameters(WIDE, np.random.default_rng(3))
    parameters["head.bias"][:] = np.arange(150)
    network = to_network(WIDE, parameters)
    np.testing.assert_array_equal(network.head_weight, parameters["head.weight"][60:])
    np.testing.assert_array_equal(network.head_bias, np.arange(60, 150))
    assert not np.shares_memory(network.head_weight, parameters["head.weight"])
    assert not np.shares_memory(network.layers[0].w_ih, parameters["layers.0.w_ih"])
    others = initial_parameters(WIDE, np.random.default_rng(4))
    before = others["head.weight"].copy()
    take_over(others, network)
    np.testing.assert_array_equal(others["head.weight"][:60], before[:60])
    np.testing.assert_array_equal(others["head.weight"][60:], network.head_weight)
    np.testing.assert_array_equal(others["head.bias"], [0] * 60 + list(range(60, 150)))
    for name in parameters:
        if name.startswith("layers"):
            np.testing.assert_array_equal(others[name], parameters[name])


def test_what_is_frozen_goes_by_its_name_or_by_what_it_belongs_to() -> None:
    parameters = initial_parameters(Architecture(1, 2, ("lstm",) * 11), np.random.default_rng(3))
    assert trained_names(parameters, ()) == tuple(parameters)
    kept = trained_names(parameters, ("layers.1", "head.bias"))
    assert set(parameters) - set(kept) == {"layers.1.w_ih", "layers.1.w_hh", "layers.1.bias", "head.bias"}
    assert "layers.10.w_ih" in kept
    with pytest.raises(UsageError, match=r"got 'layers\.11'"):
        trained_names(parameters, ("head", "layers.11"))
