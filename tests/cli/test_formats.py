"""`train`, `score` and `replay` read every format, folders and patterns through the same door."""

from __future__ import annotations

import csv
import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from cli.running import Verbs
from recordings.edf import Signal, write_edf

from streamlstm import ModelBundle, train
from streamlstm.adapters.local_log import LocalReader

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")
wfdb = pytest.importorskip("wfdb")

CHANNELS = ["flow", "pressure"]
CONFIG = """\
app: {id: hall}
local: {path: log.db}
sources: [{topics: [telemetry]}]
models: [{match: "**", bundle: pump.safetensors}]
"""


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one recording in every format, its numbers in steps that each format can hold, and a bundle."""
    folder = tmp_path_factory.mktemp("hall")
    rng, phase = np.random.default_rng(1), np.arange(700) / 40 * 2 * np.pi
    noise = rng.normal(0, [0.3, 0.03], (700, 2))
    values = np.stack([50 + 8 * np.sin(phase), 3 + 0.4 * np.cos(phase)], axis=1) + noise
    steps = np.rint(values * [100, 1000]).astype(np.int16)
    rows = steps / [100, 1000]
    table = pa.table({"ts": np.arange(len(rows)), "flow": rows[:, 0], "pressure": rows[:, 1]})
    parquet.write_table(table, folder / "pump.parquet")
    feather.write_feather(table, folder / "pump.feather")
    lines = ["ts,flow,pressure", *(f"{t},{flow},{pressure}" for t, (flow, pressure) in enumerate(rows.tolist()))]
    (folder / "pump.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    signals = [
        Signal("flow", steps[:, 0], 7, "l/min", (-300, 300), (-30000, 30000)),
        Signal("pressure", steps[:, 1], 7, "bar", (-30, 30), (-30000, 30000)),
    ]
    write_edf(folder / "pump.edf", signals, record_s=7, start="01.01.7000.00.00")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrsamp(
            "pump",
            write_dir=str(folder),
            fs=1,
            units=["l/min", "bar"],
            sig_name=CHANNELS,
            d_signal=steps,
            fmt=["16", "16"],
            adc_gain=[100.0, 1000.0],
            baseline=[0, 0],
        )
    train(rows, period_s=1.0, channels=CHANNELS, name="pump", max_updates=20).save(folder / "pump.safetensors")
    return folder


@pytest.fixture
def verbs(hall: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(hall, monkeypatch, capsys)


def test_scores_are_the_same_from_every_format(hall: Path, verbs: Verbs) -> None:
    for name in ("pump.csv.gz", "pump.parquet", "pump.feather", "pump.hea", "pump", "pump.edf", "*.parquet"):
        out = f"{name.replace('*', 'any')}.scores"
        verbs.good("score", "pump.safetensors", name, "--out", out)
    expected = list(csv.DictReader((hall / "pump.csv.gz.scores").read_text().splitlines()))
    assert len(expected) == 700 and sum(row["score"] != "" for row in expected) > 300
    for name in ("pump.parquet", "pump.feather", "pump.hea", "pump", "any.parquet"):
        assert list(csv.DictReader((hall / f"{name}.scores").read_text().splitlines())) == expected, name
    edf = list(csv.DictReader((hall / "pump.edf.scores").read_text().splitlines()))
    assert edf[0]["ts"] == "2070-01-01T00:00:00.000Z"
    for got, wanted in zip(edf, expected, strict=True):
        assert (got["status"], got["score"] == "") == (wanted["status"], wanted["score"] == "")
        assert got["score"] == "" or abs(float(got["score"]) - float(wanted["score"])) < 1e-3


def test_train_and_replay(hall: Path, verbs: Verbs) -> None:
    verbs.good("train", "pump.hea", "--out", "medical.safetensors", "--updates", 5)
    assert ModelBundle.load(hall / "medical.safetensors").channels == tuple(CHANNELS)
    (hall / "run.yaml").write_text(CONFIG)
    verbs.good("replay", "pump.parquet", "--to", "run.yaml", "--speed", 0, "--samples-per-record", 50)
    reader = LocalReader(hall / "log.db")
    records = list(reader.read("telemetry"))
    reader.close()
    assert len(records) == 14 and b'"flow"' in (records[0].value or b"")


def test_times_are_in_the_unit_that_is_said(hall: Path, verbs: Verbs) -> None:
    lines = gzip.decompress((hall / "pump.csv.gz").read_bytes()).decode().splitlines()
    times = [1_700_000_000_000 + 500 * n for n in range(len(lines) - 1)]
    rows = [f"{at},{line.partition(',')[2]}" for at, line in zip(times, lines[1:], strict=True)]
    (hall / "in_ms.csv").write_text("\n".join([lines[0], *rows]))
    verbs.good("train", "in_ms.csv", "--ts-unit", "ms", "--out", "ms.safetensors", "--updates", 2)
    assert ModelBundle.load(hall / "ms.safetensors").period_s == 0.5
    verbs.good("score", "ms.safetensors", "in_ms.csv", "--ts-unit", "ms", "--out", "ms.scores")
    scores = csv.DictReader((hall / "ms.scores").read_text().splitlines())
    assert next(scores)["ts"] == "2023-11-14T22:13:20.000Z"
    assert "are these really s?" in verbs.bad("score", "ms.safetensors", "in_ms.csv", code=1)


@pytest.mark.parametrize("name", ["torn.parquet", "torn.feather", "torn.edf", "torn.hea", "torn.csv.gz", "gone"])
def test_a_torn_file_is_a_sentence(
    hall: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (hall / "torn").mkdir(exist_ok=True)
    source = hall / name.replace("torn", "pump")
    if source.exists():  # half of it; of a WFDB record the header without the signals
        content = source.read_bytes()
        (hall / "torn" / name).write_bytes(content if name == "torn.hea" else content[: len(content) // 2])
    verbs = Verbs(hall / "torn", monkeypatch, capsys)
    for arguments in (["train", name], ["score", "../pump.safetensors", name]):
        assert verbs.bad(*arguments, code=1).startswith(f"{name}: ")
