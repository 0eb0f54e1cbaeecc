"""Fine-tuning and freezing, masks as inputs, dropout, and training data that hold anomalies."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from kernels.oracle import run
from numpy.typing import NDArray

from streamlstm import Detector, train
from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.training import trainer
from streamlstm.training.causal.plan import make_plan
from streamlstm.training.causal.trainable import CausalTraining
from streamlstm.training.fit import run_plan
from streamlstm.training.options import TrainerOptions
from streamlstm.training.plan import BundleLabels
from streamlstm.training.segments import Segment

SMALL = {"hidden": 12, "reconstruct": 16, "forecast": 4, "max_updates": 60}


def waves(rows: int, *, seed: int = 1, noise: float = 0.1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    time = np.arange(rows)[:, None]
    return (np.sin(time / np.array([3.1, 7.7])) + rng.normal(0, noise, (rows, 2)) + [5, -3]).astype(np.float32)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return train(waves(1500), **SMALL)


def test_fine_tuning_starts_where_the_bundle_stands(bundle: ModelBundle) -> None:
    tuned = train(waves(1500, seed=2), start=bundle, max_updates=20)
    anew = train(waves(1500, seed=2), hidden=12, reconstruct=16, forecast=4, max_updates=20)
    assert tuned.training["validation_loss"] < 0.6 * anew.training["validation_loss"]
    assert tuned.training["validation_loss"] < 1.1 * bundle.training["validation_loss"]
    assert tuned.training["start"] == "model@1" and tuned.network.architecture == bundle.network.architecture
    np.testing.assert_array_equal(tuned.standardizer.mean, bundle.standardizer.mean)
    assert not np.array_equal(tuned.network.layers[0].w_hh, bundle.network.layers[0].w_hh)


def test_what_is_frozen_keeps_its_bits(bundle: ModelBundle) -> None:
    tuned = train(waves(900, seed=2), start=bundle, frozen=("layers.0.w_hh", "head"), max_updates=5)
    ours, theirs = tuned.network, bundle.network
    np.testing.assert_array_equal(ours.layers[0].w_hh, theirs.layers[0].w_hh)
    np.testing.assert_array_equal(ours.head_weight, theirs.head_weight)
    assert not np.array_equal(ours.layers[0].w_ih, theirs.layers[0].w_ih)
    with pytest.raises(UsageError, match=r"freeze: expected layers.0, head or a parameter of these, got 'layers.1'"):
        train(waves(900), start=bundle, frozen=("layers.1",))
    with pytest.raises(UsageError, match="freeze: expected something left to train"):
        train(waves(900), start=bundle, frozen=("layers", "head"))


def test_what_does_not_fit_the_bundle_is_refused(bundle: ModelBundle) -> None:
    with pytest.raises(UsageError, match=r"hidden: expected 12 as model@1 has, got 16"):
        train(waves(900), start=bundle, hidden=16)
    with pytest.raises(UsageError, match=r"cells: expected \('lstm',\) as model@1 has, got \('gru',\)"):
        train(waves(900), start=bundle, cell="gru")
    with pytest.raises(DataError, match="expected the channels of model@1"):
        train(waves(900), start=bundle, channels=["a", "b"])
    with pytest.raises(UsageError, match="learning_rat: not an option of train; did you mean"):
        train(waves(900), learning_rat=0.1)


def test_the_detector_tells_the_network_what_was_missing() -> None:
    values = waves(1200)
    rng = np.random.default_rng(5)
    values[rng.random(values.shape) < 0.2] = np.nan
    bundle = train(values, mask_inputs=True, **SMALL)
    network = bundle.network
    assert network.layers[0].input_size == 4
    times = np.arange(60, dtype=np.int64) * 1000
    expected = Detector(bundle).score(["s"] * 60, times, values[:60]).expected
    x = np.clip((values[:60] - bundle.standardizer.mean) / bundle.standardizer.scale, -INPUT_LIMIT, INPUT_LIMIT)
    observed = np.isfinite(x)
    last = np.zeros(2)
    inputs = np.zeros((60, 1, 4))
    for row in range(60):
        last = np.where(observed[row], x[row], last)
        inputs[row, 0] = [*last, *observed[row]]
    outputs, _ = run(network.layers, inputs, np.zeros((1, 24)))
    head = np.array(outputs)[:, 0] @ network.head_weight.T.astype(np.float64) + network.head_bias
    one_ahead = head[:-1, 2:4] * bundle.standardizer.scale + bundle.standardizer.mean  # forecast for the next row
    np.testing.assert_allclose(expected[1:], one_ahead, rtol=1e-4, atol=1e-4)


def segment(values: NDArray[np.float32]) -> Segment:
    x = (values - np.float32([5, -3])).astype(np.float32)
    return Segment(x, np.ones(x.shape, bool))


def test_trimming_keeps_what_is_normal_when_the_data_hold_anomalies() -> None:
    clean, dirty = waves(2000, noise=0.02), waves(2000, noise=0.02)
    rng = np.random.default_rng(3)
    for at in rng.choice(1900, 25, replace=False):
        dirty[at : at + 6] += rng.normal(0, 8, 2).astype(np.float32)
    o = TrainerOptions(
        hidden=12,
        reconstruct=8,
        forecast=4,
        bptt_steps=64,
        batch=8,
        reset_every=256,
        max_updates=200,
        validate_every=20,
    )
    test = [segment(waves(600, seed=9, noise=0.02))]
    losses = {}
    for name, values, trim in (("clean", clean, 0.0), ("dirty", dirty, 0.0), ("trimmed", dirty, 0.2)):
        result = trainer.fit(CausalTraining([segment(values)], test, dataclasses.replace(o, trim=trim)))
        judged = trainer.fit(
            CausalTraining([segment(clean)], test, dataclasses.replace(o, max_updates=1), start=result.network)
        )
        losses[name] = judged.best_validation_loss
    assert losses["trimmed"] < 0.8 * losses["dirty"]


def test_dropout_is_of_training_alone() -> None:
    values = waves(1500, seed=4)
    o = TrainerOptions(
        hidden=12, cells=("lstm", "gru"), reconstruct=8, forecast=4, bptt_steps=32, batch=8, reset_every=128,
        max_updates=150, validate_every=10,
    )  # fmt: skip
    parts = [segment(values[:1100])], [segment(values[1100:])]
    plain = trainer.fit(CausalTraining(*parts, o))
    dropped = trainer.fit(CausalTraining(*parts, dataclasses.replace(o, dropout=0.3, recurrent_dropout=0.2)))
    assert dropped.history[-1].loss > 1.2 * plain.history[-1].loss  # what is dropped is missed in training
    assert dropped.history[-1].loss > 1.1 * dropped.history[-1].validation_loss  # and there in validation
    assert dropped.best_validation_loss < 0.5


def test_memory_grows_with_the_series_itself_and_no_more() -> None:
    """Windows are views: of 20 values that each row is compared with, none is a copy.

    The windows in which prototypes are found are copies, 20,000 of them at most: both series have as many.
    """
    peaks = []
    for rows in (40_000, 140_000):
        plan = make_plan(waves(rows), max_updates=3, hidden=12, reconstruct=16, forecast=4)
        tracemalloc.start()
        run_plan(plan, BundleLabels())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    values = (140_000 - 40_000) * 2
    assert (peaks[1] - peaks[0]) / values < 40  # bytes: a value is carried forward, standardised, laid on the track
