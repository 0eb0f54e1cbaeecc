"""The worker as users run it: a process, a configuration file, a real broker, SIGKILL and SIGTERM."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_models import tiny_model
from waiting import PATIENCE_S

from streamlstm.adapters.kafka_python import KafkaPublisher, KafkaReader, KafkaSettings
from streamlstm.errors import TransportError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import model_of
from streamlstm.model.bundles.registry import Registry
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.pipeline import PartitionPipeline, PipelineOptions
from streamlstm.streaming.routing import ModelRoute, Router
from streamlstm.types import TopicPartition

Pairs = list[tuple[bytes | None, bytes | None]]

CONFIG = """\
app: {{id: {prefix}, commit_interval: 20ms}}
kafka: {{bootstrap_servers: "{broker}"}}
sources: [{{topics: ["{prefix}.telemetry"]}}]
models: [{{match: "**", bundle: tiny.safetensors}}]
sinks: {{prefix: "{prefix}."}}
state: {{snapshot_interval: 200ms}}
"""


class Service:
    """The processes of one worker, one after another."""

    def __init__(self, folder: Path, broker: str, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.settings = KafkaSettings(broker)
        self.config = folder / "streamlstm.yaml"
        self.config.write_text(CONFIG.format(prefix=prefix, broker=broker))
        self.process: subprocess.Popen[str] | None = None
        self.log = ""
        self._reader = KafkaReader(self.settings)
        self._found: dict[str, Pairs] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlstm", "run", str(self.config)]
        self.process = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def stop(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        self.log += errors
        code, self.process = self.process.returncode, None
        return code

    def publish(self, records: Sequence[tuple[bytes, bytes]], *, partitions: int = 1) -> None:
        publisher = KafkaPublisher(self.settings)
        publisher.ensure_topic(f"{self.prefix}.telemetry", partitions=partitions)
        for key, value in records:
            publisher.publish(f"{self.prefix}.telemetry", key=key, value=value)
        publisher.close()

    def read(self, topic: str) -> Pairs:
        """Everything published so far; what was read before is not fetched again."""
        found = self._found.setdefault(topic, [])
        new = self._reader.read(f"{self.prefix}.{topic}", from_beginning=not found)
        found.extend((record.key, record.value) for record in new)
        return list(found)

    def wait(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_there():
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the worker ended: {self.process.stderr and self.process.stderr.read()}")
            assert time.monotonic() < deadline, f"no outputs in {PATIENCE_S} s"
            time.sleep(0.5)

    def sources(self) -> set[tuple[int, int]]:
        """Partition and offset of every record that was scored."""
        try:
            pairs = self.read("scores")
        except TransportError:  # the worker makes the topic, and may not be up yet
            return set()
        return {tuple(json.loads(value or b"{}")["source"][1:]) for _, value in pairs}

    def newest_source(self) -> int:
        """Offset of the newest scored record."""
        return max((offset for _, offset in self.sources()), default=-1)


@pytest.fixture
def service(tmp_path: Path, kafka_broker: str, topic_prefix: str, tiny_bundle: ModelBundle) -> Iterator[Service]:
    tiny_bundle.save(tmp_path / "tiny.safetensors")
    running = Service(tmp_path, kafka_broker, topic_prefix)
    yield running
    if running.process is not None:
        running.process.kill()
        running.process.communicate()


def test_killed_and_stopped_workers_publish_what_an_unbroken_one_would(
    service: Service, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    third = len(telemetry) // 3
    service.publish(telemetry[:third])
    service.start()
    service.wait(lambda: service.newest_source() >= third - 50)
    service.publish(telemetry[third : 2 * third])
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    service.start()
    service.wait(lambda: service.newest_source() >= 2 * third - 1)
    assert service.stop(signal.SIGTERM) == 0
    service.publish(telemetry[2 * third :])
    service.start()
    service.wait(lambda: service.newest_source() >= len(telemetry) - 1)
    assert service.stop(signal.SIGINT) == 0
    assert "Traceback" not in service.log
    assert "replaying" in service.log

    expected = _unbroken(service, tiny_bundle)
    assert _without_repeats(service.read("scores"), _source) == expected["scores"]
    assert _without_repeats(service.read("alerts"), _revision) == expected["alerts"]
    assert {value for _, value in service.read("dlq")} == {value for _, value in expected["dlq"]}
    assert expected["alerts"]


def test_partitions_change_hands_and_nothing_is_lost_or_different(
    service: Service, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    third = len(telemetry) // 3
    service.publish(telemetry[:third], partitions=3)
    service.start()
    service.wait(lambda: len(service.sources()) >= third // 2)
    second = Service(tmp_path, service.settings.bootstrap_servers, service.prefix)
    second.start()
    try:
        service.publish(telemetry[third : 2 * third])
        service.wait(lambda: len(service.sources()) >= third)
        assert service.stop(signal.SIGTERM) == 0
        service.publish(telemetry[2 * third :])
        bad = 3
        second.wait(lambda: len(service.sources()) == len(telemetry) - bad)
        assert second.stop(signal.SIGTERM) == 0
    finally:
        if second.process is not None:
            second.process.kill()
            second.process.communicate()
    expected = _unbroken(service, tiny_bundle)
    found = _without_repeats(service.read("scores"), _source)
    assert sorted(found, key=repr) == sorted(expected["scores"], key=repr)
    assert "Traceback" not in service.log + second.log


def test_killed_workers_take_new_champions_up_as_an_unbroken_one_would(
    service: Service, tiny_bundle: ModelBundle, telemetry: list[tuple[bytes, bytes]]
) -> None:
    """One champion of equal architecture, and one of another; killed as the first comes, and when the second spoke."""
    third, registry = len(telemetry) // 3, Registry(service.folder / "models")
    tuned, wider = replace(tiny_bundle, version=2), tiny_model(weights=5, hidden=40, version=3)
    published = third

    def publish(count: int) -> None:
        nonlocal published
        service.publish(telemetry[published : published + count])
        published += count

    def promote(bundle: ModelBundle) -> None:
        registry.promote("tiny", registry.publish("tiny", bundle))

    def is_scored_by(label: str) -> bool:
        publish(20)
        return any(json.loads(value or b"{}")["model"] == label for _, value in service.read("scores"))

    promote(tiny_bundle)
    service.config.write_text(service.config.read_text().replace("tiny.safetensors", "models/tiny/champion"))
    service.publish(telemetry[:third])
    service.start()
    service.wait(lambda: service.newest_source() >= third // 2)
    promote(tuned)
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    service.start()
    publish(1)
    service.wait(lambda: service.newest_source() >= third)  # it has recovered; what comes now is new to it
    service.wait(lambda: is_scored_by("tiny@2"))
    promote(wider)
    service.wait(lambda: is_scored_by("tiny@3"))
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    assert published < len(telemetry) - 100
    service.start()
    publish(len(telemetry))
    service.wait(lambda: service.newest_source() >= len(telemetry) - 1)
    assert service.stop(signal.SIGTERM) == 0
    assert "Traceback" not in service.log
    changes = re.findall(r"telemetry-0@(\d+): (tiny@. -> tiny@.) .*streams are (\w+)", service.log)
    assert [change[1:] for change in changes] == [
        ("tiny@1 -> tiny@2", "kept"),
        ("tiny@2 -> tiny@3", "re"),
    ]

    successors = [(int(offset), bundle) for (offset, _, _), bundle in zip(changes, (tuned, wider), strict=True)]
    expected = _unbroken(service, tiny_bundle, successors)
    assert _without_repeats(service.read("scores"), _source) == expected["scores"]
    assert _without_repeats(service.read("alerts"), _revision) == expected["alerts"]
    scores = [json.loads(value or b"") for _, value in expected["scores"]]
    assert sum(score["score"] is None for score in scores) == 4 * tiny_bundle.calibration.warm_up
    assert scores[0]["model"] == "tiny@1" and scores[-1]["model"] == "tiny@3"


def _unbroken(
    service: Service, bundle: ModelBundle, successors: Sequence[tuple[int, ModelBundle]] = ()
) -> dict[str, Pairs]:
    """Outputs of one pipeline a partition over the topic as it lies in Kafka, in as few batches as can be.

    Successors take over at their offsets.
    """
    reader = KafkaReader(service.settings)
    records = list(reader.read(f"{service.prefix}.telemetry"))
    reader.close()
    options = PipelineOptions(prefix=f"{service.prefix}.")
    outputs: dict[str, Pairs] = {"scores": [], "alerts": [], "dlq": []}
    for number in sorted({record.partition for record in records}):
        partition = TopicPartition(f"{service.prefix}.telemetry", number)
        router = Router([ModelRoute.of("**", bundle)])
        pipeline = PartitionPipeline(partition, router, JsonDecoder(), options)
        own = [record for record in records if record.partition == number]
        for (begin, model), (end, _) in pairwise([(0, bundle), *successors, (len(own), bundle)]):
            router.switch_model(0, model_of(model))
            pipeline.switch_models()
            for output in pipeline.process(own[begin:end]).outputs:
                outputs[output.topic.removeprefix(f"{service.prefix}.")].append((output.key, output.value))
    return outputs


def _without_repeats(pairs: Pairs, identity: Callable[[bytes], object]) -> Pairs:
    """Drop repeats, as a reader of an at-least-once topic does; a repeat must be equal byte for byte."""
    first: dict[object, tuple[bytes | None, bytes | None]] = {}
    for key, value in pairs:
        kept = first.setdefault(identity(value or b""), (key, value))
        assert kept == (key, value)
    return list(first.values())


def _source(value: bytes) -> object:
    return tuple(json.loads(value)["source"])


def _revision(value: bytes) -> object:
    alert = json.loads(value)
    return alert["alert_id"], alert["revision"]


def test_check_says_what_is_there(service: Service) -> None:
    command = [sys.executable, "-m", "streamlstm", "check", str(service.config)]
    before = subprocess.run(
        command, cwd=service.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert before.returncode == 1, before.stdout + before.stderr
    service.publish([(b"hall/pump0", b"{}")])
    after = subprocess.run(command, cwd=service.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert after.returncode == 0, after.stdout + after.stderr
    assert "tiny@1" in after.stdout
