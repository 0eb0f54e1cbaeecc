"""The power of a small model where it is known, and that a copy goes on as its stream would have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import tiny_model, tiny_series

from streamlstm.evaluation.power.copies import Copy, follow, run_up
from streamlstm.evaluation.power.faults import KINDS, FaultKind
from streamlstm.evaluation.power.measuring import measure_power
from streamlstm.evaluation.power.places import Place
from streamlstm.evaluation.power.power import Power
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.detector import Detector

KIND = {kind.name: kind for kind in KINDS}
START = 2400
Series = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def model() -> ModelBundle:
    return replace(tiny_model(prototypes=16), training={"period_rows": 40})


@pytest.fixture(scope="module")
def series() -> Series:
    return {"a": tiny_series(1, 4000), "b": tiny_series(1, 3300)}


def measured(model: ModelBundle, series: Series, *kinds: FaultKind) -> Power:
    power = measure_power(model, series, dict.fromkeys(series, START), kinds=kinds or None)
    assert power is not None
    return power


def of_sizes(kind: str, *sizes: float) -> FaultKind:
    return FaultKind(kind, sizes, KIND[kind].label, KIND[kind].phrase, KIND[kind].inject)


def test_an_enormous_step_is_found_at_once_in_the_right_channel(model: ModelBundle, series: Series) -> None:
    power = measured(model, series, of_sizes("step", 50.0))
    total = power.cells[0].total
    assert power.quiet == power.places >= 8
    assert total.cases == total.found == total.named == 2 * power.places
    assert total.delay_rows == 1  # an alert opens at the second sample at or above the threshold
    assert power.named_share == 1.0


def test_what_changes_nothing_is_no_case_and_what_hardly_does_is_not_found(model: ModelBundle, series: Series) -> None:
    power = measured(model, series, of_sizes("step", 0.0, 1e-3))
    nothing, hardly = power.cells
    assert (nothing.total.cases, nothing.total.found, nothing.total.delay_rows) == (0, 0, None)
    assert hardly.total.cases == 2 * power.places and hardly.total.found == 0


def test_larger_faults_are_found_more_often_and_sooner(model: ModelBundle, series: Series) -> None:
    power = measured(model, series)
    assert power.kinds == tuple(kind.name for kind in KINDS)
    for kind in ("spike", "step", "drift", "noise"):
        shares = [cell.total.share for cell in power.of_kind(kind)]
        delays = [cell.total.delay_rows for cell in power.of_kind(kind) if cell.total.share > 0.9]
        assert shares == sorted(shares) and shares[-1] == 1.0
        assert delays == sorted(delays, reverse=True)
    for cell in power.cells:
        assert len(cell.channels) == 2
        assert sum(one.cases for one in cell.channels) == cell.total.cases
        assert sum(one.found for one in cell.channels) == cell.total.found >= cell.total.named


def test_the_same_bundle_and_data_give_the_same_power(model: ModelBundle, series: Series) -> None:
    steps: list[tuple[int, int]] = []
    first = measure_power(model, series, dict.fromkeys(series, START), trained_rows=9)
    again = measure_power(
        model, series, dict.fromkeys(series, START), trained_rows=9, on_progress=lambda *at: steps.append(at)
    )
    assert first == again and first is not None
    assert first.places == 8  # the fewest
    assert steps[-1][0] == steps[-1][1] == sum(cell.total.cases for cell in first.cells)


def test_a_place_that_alarms_by_itself_is_left_out(model: ModelBundle, series: Series) -> None:
    faulty = {"a": series["a"].copy()}
    faulty["a"][START + 300 : START + 800 : 20] += np.float32(30)
    power = measured(model, faulty, of_sizes("step", 50.0))
    assert 0 < power.quiet < power.places
    assert power.cells[0].total.cases == 2 * power.quiet


def test_too_few_rows_have_no_power(model: ModelBundle, series: Series) -> None:
    assert measure_power(model, {"a": series["a"][:2500]}, {"a": START}) is None


def test_a_copy_goes_on_as_its_stream_would_have(model: ModelBundle, series: Series) -> None:
    """With the state of a detector that scored the same rows; of two places, the second has few rows before it."""
    places = [Place("a", 3000, (0, 1)), Place("b", 700, (0, 1))]
    states = run_up(model, series, places, rows=1024)
    for n, place in enumerate(places):
        alone = Detector(model)
        rows = series[place.stream_id][max(place.row - 1024, 0) : place.row]
        times = np.arange(place.row - len(rows), place.row) * 1000
        alone.score(["s"] * len(rows), times, rows)
        for name, array in alone.states.export().items():
            assert np.array_equal(array[0], states[name][n]), name
    broken = series["b"][700:828].copy()
    broken[9:, 0] += 100
    copies = [Copy(1, series["b"][700:828]), Copy(1, broken), Copy(0, series["a"][3000:3128])]
    clean, found, other = follow(model, places, states, copies)
    assert clean is None and other is None
    assert found is not None and (found.delay_rows, found.channel) == (10, "flow")
