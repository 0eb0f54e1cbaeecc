"""What every test may use: a real Kafka broker where Java and Maven can provide one, and names that are used once."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from tiny_models import tiny_model, tiny_series

from streamlstm.model.bundles.causal import ModelBundle

BROKER = Path(__file__).parents[1] / "deploy" / "kafka" / "broker"
START_TIMEOUT_S = 480  # the first start fetches 43 MB; a busy machine takes a minute to start Java

settings.register_profile("streamlstm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("streamlstm")  # no test fails on time

_is_owner = pytest.StashKey[bool]()
_FOLDER = "STREAMLSTM_TEST_BROKER"
"""Names the folder of the one broker that the test processes of a run share."""


class Broker:
    """A broker with data in `folder`, on free ports."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self._port = str(_two_free_ports())
        self._flags = flags
        self.address = ""

    def start(self) -> None:
        done = self._run("start", str(self.folder), self._port, *self._flags)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message")
        self.address = done.stdout.strip().splitlines()[-1]

    def stop(self) -> None:
        self._run("stop", str(self.folder))

    def kill(self) -> None:
        self._run("kill", str(self.folder))

    @staticmethod
    def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BROKER), *arguments], capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False
        )


@pytest.fixture(scope="session")
def needs_broker() -> None:
    """Skip where no broker can be had; fail there with STREAMLSTM_REQUIRE_KAFKA=1."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        _go_without(f"{' and '.join(missing)} not found")


@pytest.fixture(scope="session")
def kafka_broker(needs_broker: None) -> str:
    """HOST:PORT of the run's broker, which all test processes share: no test stops it."""
    folder = Path(os.environ[_FOLDER])
    line = folder / "line"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not line.exists():
            begin_s = time.monotonic()
            broker = Broker(folder / "broker")
            try:
                broker.start()
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                broker.kill()
                line.write_text(f"no Kafka broker: {error}")
            else:
                took_s = time.monotonic() - begin_s
                line.write_text(
                    f"tested against a real Apache Kafka broker on {broker.address}, started in {took_s:.1f} s"
                )
    found = re.search(r"broker on (\S+),", line.read_text())
    if found is None:
        _go_without(line.read_text())
    return found[1]


@pytest.fixture
def own_broker(needs_broker: None, tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, which it may kill."""
    broker = Broker(tmp_path / "own-broker")
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def _go_without(reason: str) -> NoReturn:
    if os.environ.get("STREAMLSTM_REQUIRE_KAFKA") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def topic_prefix() -> str:
    """A name that no other test uses, for topics and groups."""
    return f"t{uuid.uuid4().hex[:10]}"


def pytest_configure(config: pytest.Config) -> None:
    """Let kafka-python be imported where warnings are errors, and choose the folder of the broker that is shared."""
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    if _FOLDER not in os.environ:  # else the process that started this one has made it, and stops the broker
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="streamlstm-tests-")
        config.stash[_is_owner] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared broker when the run is over."""
    if config.stash.get(_is_owner, False):
        folder = Path(os.environ.pop(_FOLDER))
        Broker(folder / "broker").stop()
        shutil.rmtree(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line whether the Kafka tests had a broker."""
    line = Path(os.environ[_FOLDER], "line")
    if line.exists():
        terminalreporter.write_line(f"kafka: {line.read_text()}")


def _two_free_ports() -> int:
    """Return a port that is free together with the next one (clients, controller)."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture(scope="session")
def tiny_bundle() -> ModelBundle:
    """A small model in a second, tiny@1."""
    return tiny_model()


@pytest.fixture(scope="session")
def telemetry() -> list[tuple[bytes, bytes]]:
    """Keys and records of four streams, 300 samples each, interleaved; one with a fault, and three records that are
    bad."""
    series = {f"hall/pump{i}": tiny_series(100 + i, 300) for i in range(4)}
    series["hall/pump2"][200:230] += np.array([15, -0.8], np.float32)
    records: list[tuple[bytes, bytes]] = []
    for row in range(300):
        for number, (stream_id, values) in enumerate(series.items()):
            flow, pressure = (round(float(v), 3) for v in values[row])
            sample = {
                "stream_id": stream_id,
                "ts": 1_780_000_000_000 + 1000 * row + 7 * number,
                "values": {"flow": flow, "pressure": None if (row, number) == (150, 1) else pressure},
            }
            sample["ts"] = str(np.datetime64(sample["ts"], "ms")) + "Z"
            records.append((stream_id.encode(), json.dumps(sample).encode()))
    for place, value in ((100, b"{not json"), (555, b'{"ts": "2026-01-01T00:00:00Z", "values": {}}'), (900, b"[]")):
        records.insert(place, (b"hall/pump0", value))
    return records
