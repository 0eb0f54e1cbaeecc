"""How data are checked and split by time, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from streamlstm.errors import DataError
from streamlstm.training.periods import detect_period
from streamlstm.training.plan import BundleLabels, fingerprint, split_data

WAVE = np.sin(np.arange(110) / 5).astype(np.float32)


def test_sixty_percent_train_twenty_validate_and_twenty_calibrate() -> None:
    long, short = np.stack([WAVE, -WAVE], axis=1), np.stack([WAVE, WAVE], axis=1)[:101]
    data = split_data({"a": long, "b": short}, channels=None)
    assert data.cuts == {"a": (66, 88), "b": (60, 80)} and data.channels == ("ch0", "ch1")
    np.testing.assert_array_equal(data.training_values, np.concatenate([long[:66], short[:60]]))
    assert split_data(WAVE, channels=["flow"]).series["stream"].shape == (110, 1)
    assert split_data(long, channels=["x", "y"]).channels == ("x", "y")


def test_the_period_is_that_of_the_longest_stream_without_the_rows_that_calibrate() -> None:
    rows = np.arange(400)
    wave, other = np.sin(2 * np.pi * rows / 20), np.sin(2 * np.pi * rows[:300] / 31)
    wave[320:] = np.random.default_rng(1).normal(0, 99, 80)
    data = split_data({"short": other, "long": wave}, channels=["flow"])
    assert data.period_rows == detect_period(wave[:320]) == pytest.approx(20, abs=1)
    assert data.notes == (f"period of {data.period_rows} rows",)
    wave[240:320] = np.random.default_rng(2).normal(0, 99, 80)  # rows that validate count
    assert split_data(wave, channels=None).notes == ("no period found",)


def test_at_least_a_hundred_rows_of_each_stream() -> None:
    assert len(split_data(WAVE[:100], channels=None).series["stream"]) == 100
    with pytest.raises(DataError, match=r"b: expected at least 100 rows .* got 99"):
        split_data({"a": WAVE, "b": WAVE[:99]}, channels=None)


def test_what_is_no_data() -> None:
    for values, message in (
        ({}, "expected at least one stream"),
        (np.zeros((110, 0)), r"an array of shape \[110, 0\]"),
        (np.zeros((110, 1, 1)), r"an array of shape \[110, 1, 1\]"),
        ({"a": WAVE, "b": np.zeros((110, 2))}, "b: expected 1 channels"),
        (np.full((110, 2), np.nan), "expected numbers in at least one channel"),
    ):
        with pytest.raises(DataError, match=message):
            split_data(values, channels=None)  # type: ignore[arg-type]


def test_what_never_varies_is_said() -> None:
    still, moving = np.full(110, 7.0), WAVE.astype(float)
    a = np.stack([still, moving, np.full(110, np.nan), still], axis=1)
    b = np.stack([still, still, np.full(110, -np.inf), still + 0.5 * (np.arange(110) == 50)], axis=1)
    notes = split_data({"a": a, "b": b}, channels=["p", "q", "r", "s"]).notes
    assert notes[0] == "constant or missing in training, so any change will stand out: p, r"
    assert len(split_data(moving, channels=None).notes) == 1


def test_the_fingerprint_is_of_names_shapes_and_values() -> None:
    one = WAVE[:, None]
    other = one.copy()
    other[5] += 1
    marks = {fingerprint(series) for series in ({"a": one}, {"b": one}, {"a": other}, {"a": one.reshape(55, 2)})}
    assert len(marks) == 4 and fingerprint({"a": one.copy()}) in marks


def test_a_bundle_without_labels_is_the_first_version_of_a_model_whose_time_is_unknown() -> None:
    labels = BundleLabels()
    assert (labels.name, labels.version, labels.period_s, labels.units) == ("model", 1, 0.0, ())
