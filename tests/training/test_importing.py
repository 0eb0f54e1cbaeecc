"""What an imported network's bundle says of itself, and on which rows its head is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from model.interchange.stacks import random_layers, signal

from streamlstm.model.interchange import ForeignNetwork
from streamlstm.model.standardizer import Standardizer
from streamlstm.training.importing import import_network
from streamlstm.training.linear_head import SplitSegment, fit_head
from streamlstm.training.plan import fingerprint, split_data
from streamlstm.training.segments import standardized_segment

SERIES = {"a": signal(400, 3), "b": signal(250, 3, seed=4)}
NETWORK = ForeignNetwork(random_layers(["lstm"], inputs=3, hidden=6), None, None, "a test")


def test_what_is_not_said_of_a_bundle_has_a_default() -> None:
    notes: list[str] = []
    bundle = import_network(NETWORK, SERIES, on_choice=notes.append)
    assert (bundle.period_s, bundle.name, bundle.version, bundle.created_at) == (0.0, "model", 1, "")
    period_rows = split_data(SERIES, channels=None).period_rows
    assert bundle.training == {
        "imported": "a test", "head": "fitted on the data", "inputs": "standardized", "rows": 650, "streams": 2,
        "fingerprint": fingerprint(SERIES), "period_rows": period_rows,
    }  # fmt: skip
    assert notes == ["fitted a head for the newest row and the next 16, on the data"]
    said = import_network(NETWORK, SERIES, period_s=2, name="n", version=7, created_at="now", forecast=3)
    assert (said.period_s, said.name, said.version, said.created_at) == (2.0, "n", 7, "now")
    assert said.network.architecture.forecast == 3


def test_the_head_is_fitted_on_the_first_rows_and_its_ridge_on_the_second() -> None:
    bundle = import_network(NETWORK, SERIES, forecast=2)
    standardizer = Standardizer.fit(np.concatenate([SERIES["a"][:240], SERIES["b"][:150]]))
    np.testing.assert_array_equal(bundle.standardizer.mean, standardizer.mean)
    parts = [  # 390 rows train: the first 12 of a series are its burn-in
        SplitSegment(standardized_segment(standardizer, SERIES["a"][:320]), 12, 240),
        SplitSegment(standardized_segment(standardizer, SERIES["b"][:200]), 12, 150),
    ]
    weight, bias = fit_head(bundle.network.layers, parts, forecast=2)
    np.testing.assert_array_equal(bundle.network.head_weight, weight)
    np.testing.assert_array_equal(bundle.network.head_bias, bias)


def test_a_head_of_the_file_says_how_far_it_forecasts() -> None:
    rng = np.random.default_rng(3)
    for ahead in (1, 2):
        head = rng.normal(size=(3 + 3 * ahead, 6)).astype(np.float32), rng.normal(size=3 + 3 * ahead).astype(np.float32)
        for forecast in (None, ahead):
            bundle = import_network(replace(NETWORK, head=head), SERIES, has_head=True, forecast=forecast)
            assert bundle.network.architecture.forecast == ahead and bundle.training["head"] == "the file's"
            np.testing.assert_array_equal(bundle.network.head_weight, head[0])


def test_layers_of_two_widths_are_noted() -> None:
    layers = *random_layers(["lstm"], inputs=3, hidden=4), *random_layers(["lstm"], inputs=4, hidden=6)
    notes: list[str] = []
    import_network(replace(NETWORK, layers=layers), SERIES, on_choice=notes.append)
    assert notes[0] == "layers of 4, 6 units: narrower ones get zero units, which change nothing"
