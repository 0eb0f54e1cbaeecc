"""Real recordings from file to alert: train, replay onto a real broker, score by the worker, hold alerts against
labels.

An alert hits an event when it opens inside it (or the tolerance after it). Chance is what the same alerts would hit if
they stood anywhere else: the whole pattern of alerts is shifted around the recording, a thousand times.

The series were chosen among the development recordings with their results in view: this guards what was reached, and
says nothing of accuracy elsewhere.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition
from numpy.typing import NDArray
from waiting import PATIENCE_S

from streamlstm.adapters.kafka_python import KafkaReader, KafkaSettings

DATA = Path(os.environ.get("STREAMLSTM_SHARED", Path(__file__).parents[3] / "shared")) / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"recordings are not at {DATA}")


@dataclass(frozen=True)
class Recording:
    """Files and labels of one series; live rows start at `begin`. `budget` is false alarms a stream-day."""

    file: Path
    begin: int
    label: NDArray[np.bool_]
    time_ms: NDArray[np.int64]
    tolerance: int
    budget: float = 0.2

    @property
    def events(self) -> list[tuple[int, int]]:
        """Labelled spans [start, end] of live rows."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], self.label.astype(int), [0]])))
        return [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if a >= self.begin]


def npz(name: str, *, tolerance: int, budget: float = 0.2) -> Recording:
    with np.load(DATA / name) as file:
        rows, period_s = len(file["values"]), float(file["period_s"])
        time_ms = np.round(np.arange(rows) * period_s * 1000).astype(np.int64)
        return Recording(DATA / name, int(file["train_len"]), file["label"] > 0, time_ms, tolerance, budget)


def nab(name: str, *, budget: float) -> Recording:
    with (DATA / "nab" / "data" / name).open() as file:
        stamps = np.array([np.datetime64(row["timestamp"]) for row in csv.DictReader(file)])
    label = np.zeros(len(stamps), bool)
    windows = json.loads((DATA / "nab" / "labels" / "combined_windows.json").read_text())
    for first, last in windows[name]:
        label |= (stamps >= np.datetime64(first)) & (stamps <= np.datetime64(last))
    time_ms = stamps.astype("datetime64[ms]").astype(np.int64)
    return Recording(DATA / "nab" / "data" / name, min(int(0.15 * len(stamps)), 750), label, time_ms, 0, budget)


def streamlstm(folder: Path, *arguments: object) -> str:
    command = [sys.executable, "-m", "streamlstm", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5 * PATIENCE_S, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def hits(alerts: NDArray[np.int64], events: list[tuple[int, int]], tolerance: int) -> int:
    return sum(bool(((alerts >= a) & (alerts <= b + tolerance)).any()) for a, b in events)


@pytest.mark.parametrize(
    "kind", [pytest.param("mitbih", marks=pytest.mark.slow), pytest.param("smd", marks=pytest.mark.slow), "nab"]
)
def test_alerts_hit_labelled_events_better_than_chance(
    tmp_path: Path, kafka_broker: str, topic_prefix: str, kind: str
) -> None:
    recording = {
        # An ECG's budget is counted by the hour: half an hour cannot show what 0.2 a day means.
        "mitbih": lambda: npz("mitbih/205.npz", tolerance=360, budget=240),
        "smd": lambda: npz("smd/machine-1-2.npz", tolerance=10),
        # 0.2 a day gives a handful of alerts, too few to tell hits of four wide windows from chance.
        "nab": lambda: nab("realTweets/Twitter_volume_PFE.csv", budget=1.0),
    }[kind]()
    limit = ["--rows", recording.begin] if kind == "nab" else []
    streamlstm(tmp_path, "train", recording.file, "--out", "model.safetensors", *limit)
    (tmp_path / "streamlstm.yaml").write_text(
        f"app: {{id: {topic_prefix}}}\n"
        f"kafka: {{bootstrap_servers: '{kafka_broker}'}}\n"
        f"sources: [{{topics: ['{topic_prefix}.telemetry']}}]\n"
        "models: [{match: '**', bundle: model.safetensors}]\n"
        f"sinks: {{prefix: '{topic_prefix}.', scores: 'off'}}\n"
        f"threshold: {{false_alarms_per_stream_day: {recording.budget}}}\n"
    )
    frames = 360 if kind == "mitbih" else 20
    streamlstm(
        tmp_path, "replay", recording.file, "--to", "streamlstm.yaml", "--speed", 0, "--samples-per-record", frames
    )
    alerts = run_worker(tmp_path, kafka_broker, topic_prefix)

    times = sorted({a["alert_id"]: ms(a["detected_at"]) for a in alerts}.values())
    rows = np.searchsorted(recording.time_ms, times)
    rows = rows[rows >= recording.begin]
    events, span = recording.events, len(recording.label) - recording.begin
    found = hits(rows, events, recording.tolerance)
    rng = np.random.default_rng(1)
    by_chance = [
        hits((rows - recording.begin + shift) % span + recording.begin, events, recording.tolerance)
        for shift in rng.integers(1, span, 1000)
    ]
    print(f"{kind}: {found} of {len(events)} events, {len(rows)} alerts, by chance {np.mean(by_chance):.1f}")
    assert len(rows) > 0
    assert np.mean(np.array(by_chance) >= found) < 0.05


def run_worker(folder: Path, broker: str, prefix: str) -> list[dict[str, str]]:
    """Run the worker until its group has committed the whole topic; return the alert records."""
    command = [sys.executable, "-m", "streamlstm", "run", "streamlstm.yaml"]
    worker = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    reader = KafkaReader(KafkaSettings(broker))
    group = KafkaConsumer(bootstrap_servers=broker, group_id=prefix, isolation_level="read_committed")
    try:
        end = max(record.offset for record in reader.read(f"{prefix}.telemetry")) + 1
        deadline = time.monotonic() + 5 * PATIENCE_S
        while group.committed(TopicPartition(f"{prefix}.telemetry", 0)) != end:
            assert worker.poll() is None, worker.stderr and worker.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.3)
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=PATIENCE_S)
        assert worker.returncode == 0, errors
        assert "Traceback" not in errors
        return [json.loads(record.value or b"{}") for record in reader.read(f"{prefix}.alerts")]
    finally:
        reader.close()
        group.close()
        if worker.poll() is None:
            worker.kill()
            worker.communicate()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
