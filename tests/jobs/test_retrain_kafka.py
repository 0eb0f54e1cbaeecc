"""The retraining job on a real broker, beside a worker that runs: it reads, publishes, and leaves the group alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE_S

import streamlstm
from streamlstm.adapters.kafka_python import KafkaPublisher, KafkaSettings
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry

PACKAGE_PARENT = Path(streamlstm.__file__).resolve().parents[1]
ROWS = 700

CONFIG = """\
app: {{id: {prefix}, commit_interval: 20ms}}
kafka: {{bootstrap_servers: "{broker}"}}
sources: [{{topics: ["{prefix}.tele*"]}}]
models: [{{match: "**", bundle: models/tiny/champion}}]
sinks: {{prefix: "{prefix}."}}
retrain:
  {{registry: models, name: tiny, from: -1h, start: anew, leave_out: {{alerts: false}}, training: {{max_updates: 60}}}}
"""


def records(seed: int) -> list[dict[str, Any]]:
    """Three streams that differ from what the first champion knows: half the amplitude, another level."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(ROWS):
        for number in range(3):
            phase = 2 * np.pi * (n / 40 + number / 3)
            flow, pressure = 52 + 4 * np.sin(phase) + rng.normal(0, 0.2), 3.1 + 0.2 * np.sin(phase + 1.1)
            moment = str(np.datetime64(1_790_000_000_000 + 1000 * n, "ms")) + "Z"
            values = {"flow": round(flow, 3), "pressure": round(pressure + rng.normal(0, 0.01), 4)}
            rows.append({"stream_id": f"hall/pump{number}", "ts": moment, "values": values})
    return rows


def group_of(broker: str, name: str) -> tuple[str, str, list[str]]:
    """Return committed offsets, members and the groups of the same prefix, as the broker knows them."""
    kafka = pytest.importorskip("kafka")
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker)
    try:
        [described] = admin.describe_groups([name]).values()
        offsets = admin.list_group_offsets([name])
        return str(offsets), str(described), sorted(str(one) for one in admin.list_groups() if name in str(one))
    finally:
        admin.close()


def test_it_publishes_beside_a_running_worker_and_leaves_its_group_alone(
    tmp_path: Path, kafka_broker: str, topic_prefix: str, tiny_bundle: ModelBundle
) -> None:
    (tmp_path / "app.yaml").write_text(CONFIG.format(prefix=topic_prefix, broker=kafka_broker))
    registry = Registry(tmp_path / "models")
    registry.promote("tiny", registry.publish("tiny", tiny_bundle))
    publisher = KafkaPublisher(KafkaSettings(kafka_broker))
    publisher.ensure_topic(f"{topic_prefix}.telemetry", partitions=3)
    for sample in records(5):
        key = sample["stream_id"].encode()
        publisher.publish(f"{topic_prefix}.telemetry", key=key, value=json.dumps(sample).encode())
    publisher.close()

    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)}
    command = [sys.executable, "-m", "streamlstm"]
    log = (tmp_path / "worker.log").open("w")
    worker = subprocess.Popen([*command, "run", "app.yaml"], cwd=tmp_path, env=environment, stderr=log)
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while committed(kafka_broker, topic_prefix) < 3 * ROWS:
            assert worker.poll() is None and time.monotonic() < deadline_s, (tmp_path / "worker.log").read_text()
            time.sleep(0.3)
        before = group_of(kafka_broker, topic_prefix)
        assert topic_prefix in before[1]
        done = subprocess.run(
            [*command, "retrain", "app.yaml"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert group_of(kafka_broker, topic_prefix) == before
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE_S)
        log.close()
    outcome = json.loads(done.stdout)
    assert (outcome["records"], outcome["rows"], outcome["streams"]) == (3 * ROWS, 3 * ROWS, 3)
    assert (outcome["old"], outcome["new"], outcome["published"]) == (1, 2, True), outcome
    assert ModelBundle.load(tmp_path / "models" / "tiny" / "champion").label == "tiny@2"


def committed(broker: str, group: str) -> int:
    """Return how many records the group has committed; 0 before the broker knows it."""
    kafka = pytest.importorskip("kafka")
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker)
    try:
        [offsets] = admin.list_group_offsets([group]).values()
        return sum(one.offset for one in offsets.values())
    except kafka.errors.KafkaError:
        return 0
    finally:
        admin.close()
