"""Write one small file of every format that later versions must read, with what they must lead to.

    python tests/data/golden/formats/make_formats.py FOLDER
    python tests/data/golden/formats/make_formats.py --scores FOLDER

`FOLDER` is named after the version that writes them, e.g. `0.1.0`. What an earlier version wrote is never written anew.
`--scores` leaves it alone too: where a release changes scores on purpose, it computes anew what the files must lead to.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.adapters.local_log.database import Database
from streamlstm.adapters.local_log.snapshots import LocalSnapshots
from streamlstm.adapters.local_log.topics import LocalPublisher
from streamlstm.adapters.snapshots import key_prefix, pack
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import load_model
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.network import Network
from streamlstm.ports import Snapshot
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.training.causal.trainable import CausalTraining
from streamlstm.training.fit import train
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import ValidationPoint, fit
from streamlstm.training.windows.fit import train_window_model
from streamlstm.types import GapPolicy, Record, TopicPartition

CHANNELS, UNITS = ("flow", "pressure"), ("l/min", "bar")
START_MS = 1_780_000_000_000
ROWS = 200
STREAMS = ("hall/pump0", "hall/pump1", "hall/pump2")
GAPS = GapPolicy(reset_after_ms=60_000)
PLACE = TopicPartition("telemetry", 3)
FIRST_OFFSET = 1000

CAUSAL: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm", "hidden": 6},
    "projected": {"cell": "lstm", "layers": 2, "hidden": 6, "projection": 3, "mask_inputs": True},
    "peephole": {"cell": "peephole", "hidden": 5},
    "gru": {"cell": "gru", "hidden": 6},
    "mixed": {"cell": ["gru_reset_before", "rnn"], "hidden": 5},
}
WINDOWS = ("bidirectional", "encoder_decoder")
CHECKPOINT = TrainerOptions(
    hidden=5,
    cells=("lstm", "gru"),
    forecast=2,
    reconstruct=4,
    bptt_steps=16,
    batch=4,
    reset_every=64,
    burn_in=4,
    recurrent_dropout=0.1,
    max_updates=24,
    validate_every=4,
)
STOPPED_AT = 12


class Stopped(Exception):
    pass


def series(seed: int, rows: int) -> NDArray[np.float32]:
    """Two coupled channels with a period of 40 rows and noise, [T, 2]."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows) / 40 + rng.uniform())
    flow = 50 + 8 * np.sin(phase) + rng.normal(0, 0.5, rows)
    pressure = 3 + 0.4 * np.sin(phase + 1.1) + 0.1 * np.sin(2 * phase) + rng.normal(0, 0.03, rows)
    return np.stack([flow, pressure], axis=1).astype(np.float32)


def recording() -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Three streams, interleaved: with a fault, values that are missing, a sample that is late, a long silence."""
    values = {stream: series(100 + n, ROWS) for n, stream in enumerate(STREAMS)}
    values["hall/pump2"][70:84] += np.array([25, -1.2], np.float32)
    values["hall/pump1"][60:64, 1] = np.nan
    values["hall/pump1"][110] = np.nan
    times = {stream: START_MS + 1000 * np.arange(ROWS) + 7 * n for n, stream in enumerate(STREAMS)}
    times["hall/pump0"][100:] += 300_000
    times["hall/pump0"][130] = times["hall/pump0"][128]
    rows = [(stream, times[stream][row], values[stream][row]) for row in range(ROWS) for stream in STREAMS]
    ids, moments, samples = zip(*rows, strict=True)
    return list(ids), np.array(moments, np.int64), np.array(samples, np.float32)


def records() -> list[Record]:
    """Return the recording as it comes from a topic: single samples, packed frames, an array, and one bad record."""
    ids, times, values = recording()
    found = []

    def add(value: bytes, key: str) -> None:
        found.append(Record(PLACE.topic, PLACE.partition, FIRST_OFFSET + len(found), key.encode(), value))

    def numbers(row: NDArray[np.float32]) -> list[float | None]:
        return [None if np.isnan(v) else round(float(v), 3) for v in row]

    for row in range(0, len(ids), 3):
        if row == 300:
            add(b"{no json", "hall/pump0")
        for at in range(row, row + 3):
            ts = str(np.datetime64(int(times[at]), "ms")) + "Z"
            sample: dict[str, Any] = {"stream_id": ids[at], "ts": ts}
            named = dict(zip(CHANNELS, numbers(values[at]), strict=True))
            if at % 7 == 0:
                frame = sample | {"ts": [ts], "values": {name: [value] for name, value in named.items()}}
                add(json.dumps(frame).encode(), ids[at])
            elif at % 11 == 0:
                add(json.dumps([sample | {"values": named}]).encode(), ids[at])
            else:
                add(json.dumps(sample | {"values": named}).encode(), ids[at])
    return found


def parts() -> tuple[list[Segment], list[Segment]]:
    """Return the data of the checkpoint's training."""
    x = (series(7, 400) - np.array([50, 3], np.float32)) / np.array([5.7, 0.3], np.float32)
    observed = np.random.default_rng(8).random(x.shape) > 0.05
    x = np.where(observed, x, 0).astype(np.float32)
    return [Segment(x[:180], observed[:180]), Segment(x[180:300], observed[180:300])], [
        Segment(x[300:], observed[300:])
    ]


def weights(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return a network's arrays by name."""
    arrays = {"head.weight": network.head_weight, "head.bias": network.head_bias}
    for n, layer in enumerate(network.layers):
        for name in ("w_ih", "w_hh", "bias", "bias_hn", "peephole", "w_hr"):
            if (array := getattr(layer, name)) is not None:
                arrays[f"layers.{n}.{name}"] = array
    return arrays


def write_bundles(folder: Path) -> None:
    ids, times, values = recording()
    training = {"hall/a": series(1, 1500), "hall/b": series(2, 1500)}
    common: dict[str, Any] = {
        "period_s": 1.0,
        "channels": CHANNELS,
        "units": UNITS,
        "created_at": "2026-11-21T00:00:00Z",
    }
    expected: dict[str, NDArray[Any]] = {"stream_ids": np.array(ids), "times": times, "values": values}
    described: dict[str, Any] = {}
    bundle: ModelBundle | WindowBundle
    detector: Detector | WindowDetector
    for name, sizes in CAUSAL.items():
        bundle = train(
            training, name=name, version=3, forecast=3, reconstruct=6, bptt_steps=32, max_updates=150, **sizes, **common
        )
        bundle.save(folder / f"{name}.safetensors")
        detector = Detector.load(folder / f"{name}.safetensors", gaps=GAPS)
        _expect(name, bundle, detector.score(ids, times, values), expected, described)
    for arrangement in WINDOWS:
        bundle = train_window_model(
            training, arrangement=arrangement, name=arrangement, window=32, hidden=6, max_updates=60, **common
        )
        bundle.save(folder / f"{arrangement}.safetensors")
        detector = WindowDetector(WindowBundle.load(folder / f"{arrangement}.safetensors"), gaps=GAPS)
        _expect(arrangement, bundle, detector.score(ids, times, values), expected, described)
    np.savez_compressed(folder / "scores.npz", **expected)
    (folder / "bundles.json").write_text(json.dumps(described, indent=1) + "\n")


def _expect(name: str, bundle: Any, scores: Any, expected: dict[str, NDArray[Any]], described: dict[str, Any]) -> None:
    expected[f"{name}.status"] = scores.status
    for field in ("score", "p_value", "expected", "contribution"):
        rows = slice(1, None, len(STREAMS)) if field in ("expected", "contribution") else slice(None)  # of pump 1
        expected[f"{name}.{field}"] = getattr(scores, field)[rows].astype(np.float32)
    described[name] = {
        "label": bundle.label,
        "digest": bundle.digest,
        "channels": list(bundle.channels),
        "units": list(bundle.units),
        "period_s": bundle.period_s,
        "created_at": bundle.created_at,
    }


def write_snapshot(folder: Path) -> None:
    """Write a partition's state in the middle of an alert, when a second model is warming up beside the first."""
    came = records()
    switch_at, snapshot_at = 220, 238  # the fault of pump 2 is in its rows 70 to 83
    router = Router([ModelRoute("hall/*", load_model(folder / "lstm.safetensors"))])
    router.switch_model(0, load_model(folder / "lstm.safetensors"))
    running = PartitionPipeline(PLACE, router, JsonDecoder(), PipelineOptions(gaps=GAPS))
    running.process(came[:switch_at])
    router.switch_model(0, load_model(folder / "gru.safetensors"))
    running.switch_models()
    running.process(came[switch_at:snapshot_at])
    assert "hall/pump2" in {alert.stream_id for alert in running.open_alerts}
    payload = running.export_state()
    (folder / "state.safetensors").write_bytes(payload)
    pairs, _ = pack(
        key_prefix("hall watch", PLACE), Snapshot(FIRST_OFFSET + snapshot_at, payload), None, chunk_bytes=8_000
    )
    outputs = running.process(came[snapshot_at:]).outputs
    lines = [
        {"topic": o.topic, "key": o.key.decode(), "headers": [[k, v.decode()] for k, v in o.headers]}
        | {"value": (o.value or b"").decode()}
        for o in outputs
    ]
    content = {
        "offset": FIRST_OFFSET + snapshot_at,
        "pairs": [[key, value.decode() if key.endswith("manifest") else len(value)] for key, value in pairs],
        "records": [[(r.key or b"").decode(), (r.value or b"").decode()] for r in came[snapshot_at:]],
        "outputs": lines,
    }
    (folder / "state.json.gz").write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def write_checkpoint(folder: Path) -> None:
    training, validation = parts()
    file, looks = folder / "training.checkpoint", list[ValidationPoint]()

    def stop(point: ValidationPoint) -> None:
        looks.append(point)
        if point.update == STOPPED_AT:
            raise Stopped

    with suppress(Stopped):
        fit(CausalTraining(training, validation, CHECKPOINT), checkpoint=file, on_validation=stop)
    resumed = folder / "resumed.checkpoint"
    shutil.copy(file, resumed)
    result = fit(CausalTraining(training, validation, CHECKPOINT), checkpoint=resumed, resume=True)
    resumed.unlink()
    data = {"x": np.concatenate([p.x for p in training + validation])}
    data["observed"] = np.concatenate([p.observed for p in training + validation])
    lengths = np.array([len(p.x) for p in training + validation])
    np.savez_compressed(folder / "training.npz", lengths=lengths, **data, **weights(result.network))
    history = [asdict(point) for point in result.history]
    content = {"options": asdict(CHECKPOINT), "stopped_at": STOPPED_AT, "updates": result.updates, "history": history}
    (folder / "training.json").write_text(json.dumps(content, indent=1) + "\n")


def write_local_log(folder: Path) -> None:
    """Write an SQLite log with two partitions of telemetry, a group half-way, and a snapshot."""
    file = folder / "log.sqlite"
    publisher = LocalPublisher(file)
    publisher.ensure_topic("telemetry", partitions=2)
    for n in range(20):
        key = f"hall/pump{n % 5}".encode()
        publisher.publish("telemetry", key=key, value=f'{{"n": {n}}}'.encode(), timestamp_ms=START_MS + n)
    publisher.close()
    database = Database(file)
    with database.transaction("commit"):
        database.commit_offset("hall watch", TopicPartition("telemetry", 0), 5, after=None)
    database.close()
    snapshots = LocalSnapshots(file, group="hall watch")
    snapshots.save(TopicPartition("telemetry", 0), Snapshot(3, b"an older state"))
    snapshots.save(TopicPartition("telemetry", 0), Snapshot(5, b"the state at offset 5"))
    snapshots.close()
    connection = sqlite3.connect(file)  # one file, without its journal
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("VACUUM")
    connection.close()


def renew_scores(folder: Path) -> None:
    """Write the scores, p-values and alerts that the files of an earlier version lead to now."""
    with np.load(folder / "scores.npz") as held:
        expected = {name: held[name] for name in held}
    for name in CAUSAL:
        detector = Detector.load(folder / f"{name}.safetensors", gaps=GAPS)
        scores = detector.score(expected["stream_ids"].tolist(), expected["times"], expected["values"])
        for field in ("status", "score", "p_value"):
            expected[f"{name}.{field}"] = getattr(scores, field).astype(expected[f"{name}.{field}"].dtype)
    np.savez_compressed(folder / "scores.npz", **expected)
    content = json.loads(gzip.decompress((folder / "state.json.gz").read_bytes()))
    router = Router([ModelRoute("hall/*", load_model(folder / "gru.safetensors"))])
    running = PartitionPipeline(PLACE, router, JsonDecoder(), PipelineOptions(gaps=GAPS))
    running.import_state((folder / "state.safetensors").read_bytes())
    came = [
        Record(PLACE.topic, PLACE.partition, content["offset"] + n, key.encode(), value.encode())
        for n, (key, value) in enumerate(content["records"])
    ]
    for output, line in zip(running.process(came).outputs, content["outputs"], strict=True):
        assert (output.topic, output.key.decode()) == (line["topic"], line["key"])
        if not output.topic.endswith("dlq"):
            was, now = json.loads(line["value"]), json.loads(output.value or b"")
            line["value"] = json.dumps({key: now[key] for key in was})
    (folder / "state.json.gz").write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    write_bundles(folder)
    write_snapshot(folder)
    write_checkpoint(folder)
    write_local_log(folder)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:7,} {file.name}")


if __name__ == "__main__":
    if sys.argv[1] == "--scores":
        renew_scores(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
