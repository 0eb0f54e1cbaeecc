"""What earlier versions wrote is read as it was meant, or refused with a sentence that names both versions."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from streamlstm.adapters.local_log.database import Database
from streamlstm.adapters.local_log.snapshots import LocalSnapshots
from streamlstm.adapters.local_log.topics import LocalReader
from streamlstm.adapters.snapshots import key_prefix, newest
from streamlstm.errors import BundleError, DataError, SnapshotError, TransportError
from streamlstm.model.bundles.loaded import load_model
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.ports import Snapshot
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.training.causal.trainable import CausalTraining
from streamlstm.training.options import TrainerOptions, stored_options
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import TrainingProgress, ValidationPoint, fit
from streamlstm.types import GapPolicy, Record, TopicPartition

FORMATS = Path(__file__).parent / "data" / "golden" / "formats"
WRITTEN = FORMATS / "0.1.0"  # and the other versions, one after the other
BUNDLE_FORMATS = {"0.1.0": b"streamlstm.bundle/2", "0.2.0": b"streamlstm.bundle/3"}
GAPS = GapPolicy(reset_after_ms=60_000)
PLACE = TopicPartition("telemetry", 3)
CAUSAL = ("lstm", "projected", "peephole", "gru", "mixed")
WINDOWS = ("bidirectional", "encoder_decoder")
# The instruction sets of x86-64 differ by at most 4e-6 in scores and expected values, and by 1e-7 in weights.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(params=BUNDLE_FORMATS, autouse=True)
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test read what each version wrote."""
    monkeypatch.setattr(sys.modules[__name__], "WRITTEN", FORMATS / request.param)


def check_scores(name: str, bundle: Any, scores: Any) -> None:
    described = json.loads((WRITTEN / "bundles.json").read_text())[name]
    found = {key: getattr(bundle, key) for key in ("label", "period_s", "created_at")}
    assert found | {"channels": list(bundle.channels), "units": list(bundle.units)} == {
        key: value for key, value in described.items() if key != "digest"
    }
    with np.load(WRITTEN / "scores.npz") as expected:
        np.testing.assert_array_equal(scores.status, expected[f"{name}.status"])
        assert np.isfinite(scores.score).sum() > 200
        for field in ("score", "p_value"):
            np.testing.assert_allclose(getattr(scores, field), expected[f"{name}.{field}"], **CLOSE, err_msg=field)
        for field in ("expected", "contribution"):  # of one stream, the second of three
            np.testing.assert_allclose(getattr(scores, field)[1::3], expected[f"{name}.{field}"], **CLOSE)


def recording() -> tuple[list[str], Any, Any]:
    with np.load(WRITTEN / "scores.npz") as expected:
        return expected["stream_ids"].tolist(), expected["times"], expected["values"]


@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_bundle_scores_as_it_did(name: str) -> None:
    detector = Detector.load(WRITTEN / f"{name}.safetensors", gaps=GAPS)
    check_scores(name, detector.bundle, detector.score(*recording()))


@pytest.mark.parametrize("name", WINDOWS)
def test_a_whole_window_bundle_scores_as_it_did(name: str) -> None:
    bundle = WindowBundle.load(WRITTEN / f"{name}.safetensors")
    check_scores(name, bundle, WindowDetector(bundle, gaps=GAPS).score(*recording()))


def test_a_bundle_is_known_by_the_digest_that_its_file_claims() -> None:
    described = json.loads((WRITTEN / "bundles.json").read_text())
    for name in CAUSAL:
        assert load_model(WRITTEN / f"{name}.safetensors").digest == described[name]["digest"]


def restored() -> PartitionPipeline:
    """Return the partition as a worker recovers it whose configuration names the newer model."""
    model = load_model(WRITTEN / "gru.safetensors")
    pipeline = PartitionPipeline(
        PLACE, Router([ModelRoute("hall/*", model)]), JsonDecoder(), PipelineOptions(gaps=GAPS)
    )
    pipeline.import_state((WRITTEN / "state.safetensors").read_bytes())
    return pipeline


def snapshot() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress((WRITTEN / "state.json.gz").read_bytes()))
    return content


def check_record(found: Any, expected: Any, where: str) -> None:
    """Compare two JSON values: keys, order and texts exactly, numbers to the tolerance.

    A later version may add fields at the end, and word the sentence of an alert in another way.
    """
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found)[: len(expected)] == list(expected), where
        for key, value in expected.items():
            check_record(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for n, value in enumerate(expected):
            check_record(found[n], value, f"{where}[{n}]")
    elif isinstance(expected, float):
        np.testing.assert_allclose(found, expected, **CLOSE, err_msg=where)
    elif where.endswith(".summary"):
        assert found.startswith(expected.partition(" where")[0])
    else:
        assert found == expected, where


def test_a_partition_goes_on_from_its_state_as_it_did() -> None:
    pipeline, content = restored(), snapshot()
    assert "hall/pump2" in {alert.stream_id for alert in pipeline.open_alerts}
    assert pipeline.streams == 3
    records = [
        Record(PLACE.topic, PLACE.partition, content["offset"] + n, key.encode(), value.encode())
        for n, (key, value) in enumerate(content["records"])
    ]
    outputs = pipeline.process(records).outputs
    assert len(outputs) == len(content["outputs"])
    models = set()
    for output, expected in zip(outputs, content["outputs"], strict=True):
        assert (output.topic, output.key) == (expected["topic"], expected["key"].encode())
        assert [[key, value.decode()] for key, value in output.headers] == expected["headers"]
        if output.topic.endswith("dlq"):
            assert output.value == expected["value"].encode()
            continue
        found = json.loads(output.value or b"")
        check_record(found, json.loads(expected["value"]), f"{output.topic}@{found.get('source')}")
        models.add((output.topic, found["model"]))
    assert models == {
        (f"streamlstm.{t}", m) for t, m in (("scores", "lstm@3"), ("scores", "gru@3"), ("alerts", "lstm@3"))
    }


def test_a_stored_snapshot_is_put_together_from_its_pairs() -> None:
    content, payload = snapshot(), (WRITTEN / "state.safetensors").read_bytes()
    pairs, at = dict[str, bytes](), 0
    for key, value in content["pairs"]:
        if isinstance(value, str):
            pairs[key] = value.encode()
        else:
            pairs[key] = payload[at : at + value]
            at += value
    found = newest(key_prefix("hall watch", PLACE), pairs)
    assert found is not None and found[0] == Snapshot(content["offset"], payload)


def training() -> tuple[list[Segment], list[Segment], TrainerOptions, dict[str, Any], dict[str, Any]]:
    content = json.loads((WRITTEN / "training.json").read_text())
    with np.load(WRITTEN / "training.npz") as data:
        arrays = {name: data[name] for name in data}
    cuts = np.cumsum(arrays.pop("lengths"))[:-1]
    x, observed = np.split(arrays.pop("x"), cuts), np.split(arrays.pop("observed"), cuts)
    *fitted, validation = (Segment(a, b) for a, b in zip(x, observed, strict=True))
    return fitted, [validation], stored_options(content["options"]), content, arrays


def test_a_training_goes_on_from_its_checkpoint_as_it_did(tmp_path: Path) -> None:
    fitted, validation, options, content, weights = training()
    checkpoint = tmp_path / "training.checkpoint"
    shutil.copy(WRITTEN / "training.checkpoint", checkpoint)
    points, progress = list[ValidationPoint](), list[TrainingProgress]()
    result = fit(
        CausalTraining(fitted, validation, options),
        checkpoint=checkpoint,
        resume=True,
        on_validation=points.append,
        on_progress=progress.append,
    )
    assert progress[0].update == content["stopped_at"] + 1
    assert result.updates == content["updates"]
    for point, expected in zip(points, content["history"], strict=True):
        if point.update <= content["stopped_at"]:
            assert asdict(point) == expected
        assert asdict(point) == pytest.approx(expected, rel=1e-3)
    network = result.network
    found = {"head.weight": network.head_weight, "head.bias": network.head_bias}
    found |= {
        key: getattr(network.layers[int(key.split(".")[1])], key.split(".")[2]) for key in weights if key not in found
    }
    for key, expected in weights.items():
        np.testing.assert_allclose(found[key], expected, **CLOSE, err_msg=key)


def test_a_local_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    shutil.copy(WRITTEN / "log.sqlite", file)
    reader = LocalReader(file)
    found = list(reader.read("telemetry"))
    reader.close()
    assert sorted(json.loads(record.value or b"")["n"] for record in found) == list(range(20))
    assert {record.partition for record in found} == {0, 1}
    assert all(record.timestamp_ms == 1_780_000_000_000 + json.loads(record.value or b"")["n"] for record in found)
    database = Database(file)
    assert database.commits() == [("hall watch", TopicPartition("telemetry", 0), 5)]
    database.close()
    snapshots = LocalSnapshots(file, group="hall watch")
    assert snapshots.load(TopicPartition("telemetry", 0)) == Snapshot(5, b"the state at offset 5")
    snapshots.close()


def altered(name: str, tmp_path: Path, *, old: bytes, new: bytes) -> Path:
    """Return a copy of a file that claims another format; what it holds is as it was."""
    raw = (WRITTEN / name).read_bytes()
    assert raw.count(old) == 1 and len(old) == len(new)
    file = tmp_path / name
    file.write_bytes(raw.replace(old, new))
    return file


@pytest.mark.parametrize("version", [b"1", b"4"])
def test_a_causal_bundle_of_another_format_is_refused(tmp_path: Path, version: bytes) -> None:
    file = altered("lstm.safetensors", tmp_path, old=BUNDLE_FORMATS[WRITTEN.name], new=b"streamlstm.bundle/" + version)
    with pytest.raises(BundleError) as refused:
        Detector.load(file)
    assert str(refused.value) == (
        f"{file}: this release reads streamlstm.bundle/3 and streamlstm.bundle/2, "
        f"the file is 'streamlstm.bundle/{version.decode()}' (written by streamlstm {WRITTEN.name}); "
        "train again or use that release"
    )


def test_a_whole_window_bundle_of_another_format_is_refused(tmp_path: Path) -> None:
    file = altered("bidirectional.safetensors", tmp_path, old=b"window-bundle/1", new=b"window-bundle/2")
    with pytest.raises(
        BundleError, match=r"reads streamlstm\.window-bundle/1, the file is 'streamlstm\.window-bundle/2' \(written by"
    ):
        WindowBundle.load(file)


@pytest.mark.parametrize("version", [b"1", b"2", b"5"])
def test_a_state_of_another_format_is_refused(tmp_path: Path, version: bytes) -> None:
    file = altered("state.safetensors", tmp_path, old=b"streamlstm.state/3", new=b"streamlstm.state/" + version)
    with pytest.raises(SnapshotError) as refused:
        restored().import_state(file.read_bytes())
    assert str(refused.value) == (
        "this release reads streamlstm.state/4 and streamlstm.state/3, "
        f"the snapshot is 'streamlstm.state/{version.decode()}' (written by streamlstm {WRITTEN.name})"
    )


def test_stored_pairs_of_another_format_are_refused() -> None:
    pairs = {key: value.encode() for key, value in snapshot()["pairs"] if isinstance(value, str)}
    ((key, manifest),) = pairs.items()
    with pytest.raises(SnapshotError, match=r"expected format 1, got 2; it was written by another version"):
        newest(key_prefix("hall watch", PLACE), {key: manifest.replace(b'"format":1', b'"format":2')})


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    fitted, validation, options, *_ = training()
    file = altered("training.checkpoint", tmp_path, old=b"streamlstm.checkpoint/1", new=b"streamlstm.checkpoint/0")
    with pytest.raises(
        DataError, match=r"reads streamlstm\.checkpoint/1, the file is 'streamlstm\.checkpoint/0' .*delete it to begin"
    ):
        fit(CausalTraining(fitted, validation, options), checkpoint=file, resume=True)


def test_a_local_log_of_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    shutil.copy(WRITTEN / "log.sqlite", file)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(TransportError, match=r"expected local log format 1, got 2; open it with the version"):
        LocalReader(file).read("telemetry")


def test_the_script_that_writes_the_files_still_runs(tmp_path: Path) -> None:
    maker = _script()
    maker.main(tmp_path / "now")
    written = {file.name for file in WRITTEN.iterdir()}
    assert {file.name for file in (tmp_path / "now").iterdir()} >= written
    assert all(file.stat().st_size < 60_000 for file in WRITTEN.iterdir())


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_formats", FORMATS / "make_formats.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
