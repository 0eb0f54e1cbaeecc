"""The retraining job on the local log: what it reads and leaves out, when it publishes, and how it ends."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.running import start
from numpy.typing import NDArray
from waiting import PATIENCE_S

from streamlstm.adapters.local_log import LocalPublisher
from streamlstm.cli import main
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry

START_MS = 1_790_000_000_000
ROWS = 900

CONFIG = """\
app: {id: hall}
local: {path: log.db}
sources: [{topics: [telemetry]}]
models:
  - {match: "hall/spare*", bundle: spare.safetensors}
  - {match: "hall/**", bundle: ./models/pumps/champion}
retrain:
  registry: models
  name: pumps
  from: "1970-01-02T00:00:00Z"
  model: {hidden: 8, forecast: 4, reconstruct: 8}
  training: {max_updates: 30, seed: 3}
"""


def series(seed: int, rows: int = ROWS, *, level: float = 50.0) -> NDArray[np.float64]:
    """Two coupled channels with a period of 40 samples and noise, [T, 2]."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * (np.arange(rows) / 40 + rng.uniform())
    flow = level + 8 * np.sin(phase) + rng.normal(0, 0.5, rows)
    pressure = 3 + 0.4 * np.sin(phase + 1.1) + rng.normal(0, 0.03, rows)
    return np.stack([flow, pressure], axis=1).round(4)


def sample(stream_id: str, time_ms: int, row: Sequence[float]) -> tuple[int, bytes, bytes]:
    moment = str(np.datetime64(time_ms, "ms")) + "Z"
    values = dict(zip(("flow", "pressure"), map(float, row), strict=True))
    return (
        time_ms,
        stream_id.encode(),
        json.dumps({"stream_id": stream_id, "ts": moment, "values": values}).encode(),
    )


def telemetry(
    stream_id: str, values: NDArray[np.float64], *, start_ms: int = START_MS
) -> list[tuple[int, bytes, bytes]]:
    return [sample(stream_id, start_ms + 1000 * n, row) for n, row in enumerate(values)]


class Hall:
    """A folder with a configuration and a local log."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.registry = Registry(folder / "models")
        (folder / "app.yaml").write_text(CONFIG)

    def publish(self, topic: str, records: Sequence[tuple[int, bytes, bytes]]) -> None:
        publisher = LocalPublisher(self.folder / "log.db")
        publisher.ensure_topic(topic, partitions=2)
        for time_ms, key, value in records:
            publisher.publish(topic, key=key, value=value, timestamp_ms=time_ms)
        publisher.close()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return start(self.folder, *arguments, stdout=subprocess.PIPE)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a verb through `main`, as the script does, but without another interpreter's start."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["streamlstm", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    def retrain(self, *settings: str) -> dict[str, Any]:
        """Run the verb to its end; return its line."""
        code, out, err = self.run("retrain", "app.yaml", *(part for one in settings for part in ("--set", one)))
        assert code == 0, err
        [line] = out.splitlines()
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def champion(self) -> ModelBundle:
        return ModelBundle.load(self.folder / "models" / "pumps" / "champion")


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """A verb sets up logging and signals for its process, which here is everybody's."""
    loggers = logging.getLogger(), logging.getLogger("kafka")
    handlers, levels = loggers[0].handlers, [logger.level for logger in loggers]
    on_term = signal.getsignal(signal.SIGTERM)
    loggers[0].handlers = []
    yield
    signal.signal(signal.SIGTERM, on_term)
    loggers[0].handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    made = Hall(tmp_path)
    for number in range(3):
        made.publish("telemetry", telemetry(f"hall/pump{number}", series(number)))
    return made


def test_the_first_is_published_and_a_better_one_takes_its_place(hall: Hall) -> None:
    first = hall.retrain("retrain.training.max_updates=1")
    assert (first["schema"], first["model"], first["published"]) == ("streamlstm.retrain/1", "pumps", True)
    assert (first["old"], first["new"], first["rows"], first["streams"]) == (None, 1, 3 * ROWS, 3)
    assert first["training_rows"] == 3 * 720 and first["losses"]["old"] is None
    second = hall.retrain("retrain.training.max_updates=150")
    assert (second["old"], second["new"], second["published"]) == (1, 2, True), second
    assert second["losses"]["new"] < 0.98 * second["losses"]["old"]
    assert set(second["losses"]["channels"]) == {"flow", "pressure"}
    assert second["false_alarms_per_stream_day"]["old"] is not None
    assert (hall.registry.champion("pumps"), hall.registry.previous("pumps")) == (2, 1)
    bundle = hall.champion()
    assert (bundle.label, bundle.channels, bundle.period_s) == ("pumps@2", ("flow", "pressure"), 1.0)
    assert bundle.training["start"] == "pumps@1"
    assert np.array_equal(bundle.standardizer.mean, ModelBundle.load(hall.registry.path("pumps", 1)).standardizer.mean)


def test_one_that_is_not_better_by_the_margin_is_not_published(hall: Hall) -> None:
    hall.retrain("retrain.training.max_updates=150")
    before = (hall.folder / "models" / "pumps" / "champion").read_bytes()
    again = hall.retrain("retrain.margin=0.9", "retrain.start=anew")
    assert (again["published"], again["old"], again["new"]) == (False, 1, None)
    assert "at least 90.0% lower was required" in again["why"]
    assert hall.registry.versions("pumps") == (1,)
    assert (hall.folder / "models" / "pumps" / "champion").read_bytes() == before


def test_the_same_range_makes_the_same_model(hall: Hall) -> None:
    for name in ("one", "two"):
        hall.retrain(f"retrain.name={name}", "retrain.match=hall/**")
    one, two = (ModelBundle.load(hall.folder / "models" / name / "champion") for name in ("one", "two"))
    assert np.array_equal(one.network.layers[0].w_hh, two.network.layers[0].w_hh)
    assert one.training["fingerprint"] == two.training["fingerprint"]


def test_late_repeated_bad_and_foreign_records(hall: Hall, tmp_path: Path) -> None:
    plain = Hall(tmp_path / "plain")
    values = series(8)
    records = telemetry("hall/pump7", values)
    plain.publish("telemetry", records)
    expected = plain.retrain()
    shuffled = Hall(tmp_path / "shuffled")
    mixed = list(records)
    mixed[300:340] = mixed[300:340][::-1]  # late
    mixed[500:500] = records[490:500]  # repeated
    mixed.insert(100, (START_MS, b"hall/pump7", b"{not json"))
    mixed += telemetry("hall/spare1", series(9)) + telemetry("ward/bed1", series(10))  # other models'
    shuffled.publish("telemetry", mixed)
    outcome = shuffled.retrain()
    assert (outcome["duplicates"], outcome["rejected"], outcome["streams"]) == (10, {"malformed_json": 1}, 1)
    assert outcome["records"] == len(mixed) and outcome["rows"] == expected["rows"] == ROWS
    assert shuffled.champion().training["fingerprint"] == plain.champion().training["fingerprint"]
    assert outcome["losses"]["new"] == expected["losses"]["new"]


def alert(
    stream_id: str, begin: int, end: int | None, *, revision: int, alert_id: str = "a1"
) -> tuple[int, bytes, bytes]:
    started, resolved = (
        None if n is None else str(np.datetime64(START_MS + 1000 * n, "ms")) + "Z" for n in (begin, end)
    )
    record = {
        "schema": "streamlstm.alert/1",
        "alert_id": alert_id,
        "revision": revision,
        "state": "open" if end is None else "resolved",
        "stream_id": stream_id,
        "started_at": started,
        "detected_at": started,
        "resolved_at": resolved,
    }
    return START_MS, alert_id.encode(), json.dumps(record).encode()


def test_alerted_and_labelled_spans_are_left_out(hall: Hall) -> None:
    alerts = [
        alert("hall/pump0", 200, None, revision=1),
        alert("hall/pump0", 200, 249, revision=2),
        alert("hall/pump1", 850, None, revision=1, alert_id="a2"),
        (START_MS, b"x", b"no alert"),
    ]
    hall.publish("streamlstm.alerts", alerts)
    (hall.folder / "labels.csv").write_text(
        "stream_id,start,end\n"
        f"hall/pump2,{np.datetime64(START_MS + 10_000, 'ms')}Z,{np.datetime64(START_MS + 29_000, 'ms')}\n"
    )
    margins = ("retrain.leave_out.before=7s", "retrain.leave_out.after=3s", "retrain.leave_out.labels=labels.csv")
    outcome = hall.retrain(*margins)
    #                              7 before, 50, 3 after    850 - 7 to the end     20 labelled
    assert outcome["left_out"] == {"alerts": 2, "labels": 1, "rows": 60 + 57 + 20, "short_rows": 0}
    without = hall.retrain(*margins, "retrain.leave_out.alerts=false", "retrain.name=all", "retrain.match=hall/**")
    assert without["left_out"]["rows"] == 20 and without["streams"] == 3


def test_what_is_left_out_does_not_change_the_model(hall: Hall, tmp_path: Path) -> None:
    wild = Hall(tmp_path / "wild")
    values = series(0)
    values[200:250] += (400.0, -90.0)
    values[800:810] += (300.0, 50.0)
    for number in range(3):
        wild.publish("telemetry", telemetry(f"hall/pump{number}", values if number == 0 else series(number)))
    alerts = [
        alert("hall/pump0", 200, 249, revision=2),
        alert("hall/pump0", 800, 809, revision=2, alert_id="a2"),
    ]
    for one in (hall, wild):
        one.publish("streamlstm.alerts", alerts)
    calm_outcome, wild_outcome = hall.retrain(), wild.retrain()
    assert wild.champion().training["fingerprint"] == hall.champion().training["fingerprint"]
    assert wild_outcome["losses"] == calm_outcome["losses"]


def test_when_everything_was_alerted_on_it_says_what_can_be_done(hall: Hall) -> None:
    alerts = [alert(f"hall/pump{n}", 5, None, revision=1, alert_id=f"a{n}") for n in range(3)]
    hall.publish("streamlstm.alerts", alerts)
    code, out, err = hall.run("retrain", "app.yaml", "--set", "retrain.leave_out.before=9s")
    assert (code, out) == (1, "")
    assert "of 2,700 samples in the range 2,700 are left out; if what is alerted on has become normal" in err


def test_a_silence_cuts_a_stream_in_two(hall: Hall, tmp_path: Path) -> None:
    cut = Hall(tmp_path / "cut")
    values = series(4, 1000)
    records = telemetry("hall/pump4", values)
    late = telemetry("hall/pump4", values[700:], start_ms=START_MS + 1000 * 760)
    cut.publish("telemetry", records[:50] + records[120:700] + late)
    outcome = cut.retrain("gaps.reset_after=30s", "retrain.compare=0.1")
    assert outcome["left_out"]["short_rows"] == 50
    assert cut.champion().training["streams"] == 2
    outcome = cut.retrain("gaps.reset_after=100s", "retrain.name=whole", "retrain.match=hall/**")
    assert outcome["left_out"]["short_rows"] == 0 and outcome["rows"] == 930


def test_what_the_champion_was_trained_on_is_not_compared(hall: Hall) -> None:
    first = hall.retrain("retrain.compare=0.1")
    again = hall.retrain("retrain.compare=0.6")
    assert again["compared_from"] == first["compared_from"]
    assert again["losses"]["values"] == first["losses"]["values"] == 3 * 2 * 90


def test_a_range_of_time(hall: Hall) -> None:
    begin, end = (str(np.datetime64(START_MS + 1000 * n, "ms")) + "Z" for n in (100, 600))
    outcome = hall.retrain(f"retrain.from={begin}", f"retrain.until={end}")
    assert outcome["rows"] == 3 * 500
    assert (outcome["from"], outcome["until"]) == (begin, str(np.datetime64(START_MS + 599_000, "ms")) + "Z")
    outcome = hall.retrain("retrain.from=-200s", f"retrain.until={end}", "retrain.start=anew")
    assert outcome["rows"] == 3 * 200


def test_a_dry_run_writes_nothing(hall: Hall) -> None:
    code, out, err = hall.run("retrain", "app.yaml", "--dry-run")
    assert code == 0, err
    outcome = json.loads(out)
    assert (outcome["dry_run"], outcome["published"], outcome["rows"]) == (True, False, 3 * ROWS)
    assert "updates" in err
    assert not (hall.folder / "models").exists()


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (["retrain.frm=-7d"], 2, "unknown key; did you mean 'from'?"),
        (
            ["retrain.from=yesterday"],
            2,
            "expected a time such as 2026-11-21T01:20:30Z, a span back such as -7d, or now",
        ),
        (["retrain.from=now"], 2, "expected a time before now (retrain.until), got now"),
        (["retrain.name=others"], 2, "models/others/champion to take it from, got neither"),
        (["retrain.name=../etc"], 2, "only letters, digits"),
        (["retrain.compare=0"], 2, "greater than 0"),
        (["retrain.match=cellar/**"], 1, "expected samples of pumps's streams between 1970-01-02"),
        (["sources.0.topics.0=absent"], 1, "there is no topic that matches absent; topics there: telemetry"),
        (["retrain.max_rows=1000"], 1, "expected at most 1,000 samples in the range, got more"),
        (["retrain.leave_out.labels=none.csv"], 1, "none.csv: the labels cannot be read (No such file"),
        (["retrain.model.cell=transformer"], 2, "transformer"),
    ],
)
def test_what_is_wrong_is_one_sentence(hall: Hall, settings: list[str], code: int, message: str) -> None:
    came, out, err = hall.run("retrain", "app.yaml", *(part for one in settings for part in ("--set", one)))
    assert (came, out) == (code, ""), err
    assert message in err
    assert hall.registry.names() == ()


def test_without_the_section_it_says_what_to_write(hall: Hall) -> None:
    text = (hall.folder / "app.yaml").read_text()
    (hall.folder / "app.yaml").write_text(text[: text.index("retrain:")])
    code, _, err = hall.run("retrain", "app.yaml")
    assert code == 2 and "retrain: {registry: ./models, name: vitals}" in err


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly_and_a_second_is_turned_away(hall: Hall, number: signal.Signals, code: int) -> None:
    process = hall.start("retrain", "app.yaml", "--set", "retrain.training.max_updates=100000")
    lock = hall.folder / "models" / "pumps" / ".lock"
    try:
        wait_for(lambda: lock.exists() and lock.read_text(), process)
        came, out, err = hall.run("retrain", "app.yaml")
        assert (came, out) == (1, "")
        assert f"is held by process {process.pid} on" in err
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert hall.registry.versions("pumps") == ()
    assert hall.retrain("retrain.training.max_updates=5")["new"] == 1


def test_killed_at_random_moments_it_shows_nothing_half_written(hall: Hall) -> None:
    rng = random.Random(11)
    hall.retrain("retrain.training.max_updates=1")
    settings = ("--set", "retrain.training.max_updates=3", "--set", "retrain.margin=0", "--set", "retrain.start=anew")
    began_s = time.monotonic()
    whole = hall.start("retrain", "app.yaml", *settings)
    whole.communicate(timeout=PATIENCE_S)
    assert whole.returncode == 0
    whole_s = time.monotonic() - began_s
    for _ in range(4):
        process = hall.start("retrain", "app.yaml", *settings)
        time.sleep(rng.uniform(0.3, 1.0) * whole_s)
        process.kill()
        process.communicate()
        champion = hall.registry.champion("pumps")
        assert hall.champion().label == f"pumps@{champion}"
        for version in hall.registry.versions("pumps"):
            ModelBundle.load(hall.registry.path("pumps", version))
    hall.retrain(*(one for one in settings if one != "--set"))
    assert not list((hall.folder / "models" / "pumps").glob(".*draft*"))


def test_versions_are_listed_promoted_and_rolled_back(hall: Hall, tiny_bundle: ModelBundle) -> None:
    for _ in range(3):
        hall.registry.promote("pumps", hall.registry.publish("pumps", dataclasses.replace(tiny_bundle)))
    assert hall.run("models", "app.yaml")[1].splitlines() == [
        "pumps@1            models/pumps/1.safetensors",
        "pumps@2  previous  models/pumps/2.safetensors",
        "pumps@3  champion  models/pumps/3.safetensors",
    ]
    assert "pumps@2  champion" in hall.run("models", "app.yaml", "--rollback")[1]
    assert "pumps@1  champion" in hall.run("models", "app.yaml", "--promote", "1")[1]
    code, _, err = hall.run("models", "app.yaml", "--promote", "9")
    assert code == 2 and "there is no version 9; versions there: 1, 2, 3" in err
