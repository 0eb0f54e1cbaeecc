"""The public names as a user meets them at a prompt or in a notebook: found, shown, compared, mistyped."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from cli.running import ENVIRONMENT
from tiny_models import TINY_CHANNELS, tiny_model, tiny_series

import streamlstm
from streamlstm import Detector, ModelBundle
from streamlstm.kernels import CellKind, CellWeights
from streamlstm.model.bundles.window import WindowBundle, WindowCalibration
from streamlstm.model.display import first_few
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.windows.network import WindowArchitecture, WindowNetwork
from streamlstm.scoring.thresholds import Threshold
from streamlstm.scoring.windows.detector import WindowDetector

PUBLIC = {"Detector", "ModelBundle", "__version__", "train"}
HOSTILE = "<script>alert(1)</script>\n\x1b[31m&"


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return replace(tiny_model(), training={"rows": 4000, "streams": 1})


@pytest.fixture(scope="module")
def window_bundle() -> WindowBundle:
    rng = np.random.default_rng(8)

    def layer(inputs: int) -> CellWeights:
        shapes = (12, inputs), (12, 3), (12,)
        return CellWeights(CellKind.LSTM, *(rng.normal(0, 0.4, shape).astype(np.float32) for shape in shapes))

    network = WindowNetwork(
        WindowArchitecture("encoder_decoder", 2, 3, rows=20),
        (layer(4), layer(1)),
        rng.normal(0, 0.4, (2, 3)).astype(np.float32),
        rng.normal(0, 0.4, 2).astype(np.float32),
    )
    calibration = WindowCalibration(
        scales=np.ones(2, np.float32),
        statistics=np.array([1.0, 2.0]),
        surprises=np.array([0.5, 1.5]),
        fit=np.array([0.1, 1.0]),
        rows=900,
        cluster_rows=2.0,
        width=4,
    )
    standardizer = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    return WindowBundle(
        network=network, standardizer=standardizer, calibration=calibration, channels=TINY_CHANNELS, period_s=0.0
    )


def in_a_new_interpreter(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", program]  # not from this folder, where the sources may not be built
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    done = in_a_new_interpreter(
        "import sys, streamlstm; names = dir(streamlstm); assert 'numpy' not in sys.modules; print(*names)"
    )
    assert {name for name in done.stdout.split() if not name.startswith("__") or name in PUBLIC} == PUBLIC


def test_tab_completes_them() -> None:
    done = in_a_new_interpreter(
        "import rlcompleter, streamlstm\n"
        "completer = rlcompleter.Completer({'streamlstm': streamlstm})\n"
        "print(completer.complete('streamlstm.', 0), completer.complete('streamlstm.M', 0), "
        "completer.complete('streamlstm.tr', 0))"
    )
    assert done.stdout.split() == ["streamlstm.Detector(", "streamlstm.ModelBundle(", "streamlstm.train("]


def test_a_public_name_is_looked_up_once() -> None:
    assert set(streamlstm.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(streamlstm, name) is vars(streamlstm)[name]


@pytest.mark.parametrize(
    ("mistyped", "nearest"), [("detector", "Detector"), ("trian", "train"), ("Modelbundle", "ModelBundle")]
)
def test_a_mistyped_name_is_told_the_nearest(mistyped: str, nearest: str) -> None:
    hint = f"did you mean '{nearest}'\\?"
    with pytest.raises(ImportError, match=f"cannot import name '{mistyped}' from 'streamlstm'; {hint}"):
        exec(f"from streamlstm import {mistyped}")
    with pytest.raises(AttributeError, match=f"no attribute '{mistyped}'; {hint}"):
        getattr(streamlstm, mistyped)


def test_a_name_that_is_near_none_is_told_all() -> None:
    with pytest.raises(
        ImportError, match="'nonsense' from 'streamlstm'; it has Detector, ModelBundle, __version__, train"
    ):
        exec("from streamlstm import nonsense")
    assert not hasattr(streamlstm, "nonsense")
    done = in_a_new_interpreter("from streamlstm import errors, patterns")  # submodules are found as ever
    assert done.returncode == 0, done.stderr


def test_a_bundle_shows_what_it_is(bundle: ModelBundle) -> None:
    assert repr(bundle) == (
        "<ModelBundle tiny@1; network: lstm, 1 layer of 24 units, forecast 4 samples\n"
        " channels: flow, pressure; period: 1 s\n"
        f" trained on: 4,000 rows of 1 stream; digest: {bundle.digest[:16]}…>"
    )


def test_a_window_bundle_and_its_detector_show_what_they_are(window_bundle: WindowBundle) -> None:
    network = "network: encoder_decoder: lstm, 1 layer of 3 units, windows of 20 samples"
    channels = "channels: flow, pressure; period: unknown"
    digest = window_bundle.digest[:16]
    assert repr(window_bundle) == (
        f"<WindowBundle model@1; {network}\n {channels}\n trained on: unknown data; digest: {digest}…>"
    )
    assert repr(WindowDetector(window_bundle)) == (
        f"<WindowDetector of model@1; {network}\n {channels}\n threshold: 0.2 false alarms a stream and day>"
    )


def test_a_bundle_knows_its_period_where_its_training_says_so(bundle: ModelBundle) -> None:
    for said, rows in ((40, 40), (0, 0), (-3, 0), ("40", 0), (None, 0)):
        assert replace(bundle, training=bundle.training | {"period_rows": said}).period_rows == rows
    assert replace(bundle, training={}).period_rows == 0


def test_a_detector_shows_the_streams_it_holds_and_its_threshold(bundle: ModelBundle) -> None:
    detector = Detector(bundle, threshold=Threshold(1.5), period_s=0.5, max_streams=2000)
    detector.score(["a", "b", "a"], [0, 0, 500], tiny_series(3, 3))
    assert repr(detector) == (
        "<Detector of tiny@1; network: lstm, 1 layer of 24 units, forecast 4 samples\n"
        " channels: flow, pressure; period: 0.5 s\n"
        f" streams: 2 of at most 2,000; threshold: 1.5 false alarms a stream and day; runs on: {detector.isa}>"
    )


def test_results_show_what_was_found(bundle: ModelBundle) -> None:
    detector, values = Detector(bundle), tiny_series(3, 200)
    values[150] = [90.0, 3.0]
    scores = detector.score(["a"] * 200, np.arange(200) * 1000, values)
    alarming, peak = int(np.sum(scores.score >= 1.0)), int(np.nanargmax(scores.score))
    assert alarming and peak >= 150
    assert repr(scores) == (
        "<Scores of 200 x 2 values; status: 152 ready, 48 warming\n"
        f" 1.0 or more: {alarming}; highest: {scores.score[peak]:.3g} in row {peak}>"
    )
    assert "\n no scores>" in repr(detector.score(["b"], [0], values[:1]))
    assert repr(detector.score([], [], values[:0])).startswith("<Scores of 0 x 2 values; status: none")
    result = detector.score_one("a", 200_000, [20.0, 3.0])
    first, expected, contribution = repr(result).splitlines()
    assert first == f"<ScoreResult ready; score: {result.score:.3g}; p-value: {result.p_value:.3g}"
    assert expected.startswith(" expected: flow ")
    assert contribution.startswith(" contribution: flow ")  # the largest first
    assert "score: none" in repr(detector.score_one("new", 0, [1.0, 1.0]))


class Cells(HTMLParser):
    """The tags of a table, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_a_table(bundle: ModelBundle, window_bundle: WindowBundle) -> None:
    result = Detector(bundle).score_one("a", 0, [1.0, 1.0])
    for shown in (bundle, window_bundle, Detector(bundle), WindowDetector(window_bundle), result):
        cells = Cells(shown._repr_html_())
        assert cells.tags == {"table", "caption", "tbody", "tr", "th", "td"}
        assert type(shown).__name__ in cells.texts[0]
        assert len(cells.texts) > 6
    assert Cells(bundle._repr_html_()).texts[1:3] == ["network", "lstm, 1 layer of 24 units, forecast 4 samples"]


def test_names_from_a_file_stay_text_in_three_lines(bundle: ModelBundle) -> None:
    odd = replace(bundle, name=HOSTILE, channels=(HOSTILE, "b" * 500), training={"rows": "many", "streams": None})
    for shown in (odd, Detector(odd), Detector(odd).score_one(HOSTILE, 0, [1.0, 2.0])):
        lines = repr(shown).splitlines()
        assert len(lines) == 3
        assert all(len(line) <= 120 and line.isprintable() for line in lines)
        cells = Cells(shown._repr_html_())
        assert cells.tags == {"table", "caption", "tbody", "tr", "th", "td"}
        assert "\x1b" not in "".join(cells.texts)
    assert "trained on: unknown data" in repr(odd)


def test_of_many_channels_the_first_are_shown() -> None:
    assert first_few(f"ch{i}" for i in range(38)) == (
        "ch0, ch1, ch2, ch3, ch4, ch5, ch6, ch7, ch8, ch9, ch10, ch11, … (38 in all)"
    )
    assert first_few(["x" * 100, "y"]) == "x" * 23 + "…" + "x" * 8 + ", y"
    assert first_few([]) == ""


def test_bundles_compare_by_digest(bundle: ModelBundle, window_bundle: WindowBundle) -> None:
    twin, other = replace(tiny_model(), training={"rows": 4000, "streams": 1}), replace(bundle, version=2)
    assert twin is not bundle
    assert twin == bundle
    assert hash(twin) == hash(bundle)
    assert other != bundle
    assert len({bundle, twin, other, window_bundle}) == 3
    assert bundle != window_bundle
    assert window_bundle == replace(window_bundle)
    assert bundle != bundle.digest
    assert bundle.__eq__(3) is NotImplemented
