"""The whole service on one machine: telemetry, training, the worker, and what it found."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from streamlstm.cli.console.progress import ProgressBar
from streamlstm.cli.demo.report import print_verdict
from streamlstm.cli.demo.scenario import Scenario, recorded_scenario, simulated_scenarios
from streamlstm.config import Config, parse_config
from streamlstm.errors import StreamLstmError, TransportError, UsageError
from streamlstm.evaluation.episodes import AlertSpan, GroupVerdict, judge
from streamlstm.jobs.publishing import publish_series
from streamlstm.streaming.encoders import AlertRecord
from streamlstm.training.fit import train
from streamlstm.wiring.transports import open_publisher, open_reader
from streamlstm.wiring.worker import Service, build_service

__all__ = ["show_service"]

_PATIENCE_S = 120.0


def show_service(data: str | None, kafka: str | None, keep: Path | None, seed: int) -> None:
    """Train on the clean part of a recording or simulation, run the worker on the rest, print what it found.

    Raises: StreamLstmError.
    """
    console = Console()
    scenarios = [recorded_scenario(data)] if data else simulated_scenarios(seed)
    with tempfile.TemporaryDirectory(prefix="streamlstm-demo-") as scratch:
        folder = keep or Path(scratch)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--keep: the folder {folder} cannot be made ({error.strerror})") from error
        for scenario in scenarios:
            _train(scenario, folder, seed, console)
        config = _configuration(scenarios, folder, kafka)
        alerts, took_s = _run(config, scenarios, console)
    samples = sum(len(one.values) for scenario in scenarios for one in scenario.live)
    console.print(
        f"\n{samples:,} samples of {sum(len(one.live) for one in scenarios)} streams scored through the "
        f"{'Kafka' if kafka else 'local'} log in {took_s:.1f} s ({samples / took_s:,.0f} a second)\n",
        soft_wrap=True,
    )
    for scenario in scenarios:
        print_verdict(_verdict(scenario, alerts), console, counts_only=scenario.counts_beats)
    if keep:
        console.print(f"bundles, log and configuration: {keep}")


def _train(scenario: Scenario, folder: Path, seed: int, console: Console) -> None:
    began = time.monotonic()
    with ProgressBar("train") as progress:
        bundle = train(
            scenario.training,
            period_s=scenario.period_s,
            channels=scenario.channels,
            units=scenario.units,
            name=scenario.name,
            seed=seed,
            on_progress=lambda at: progress.update(at.update, at.of, f"{scenario.name}, loss {at.loss:.4f}"),
        )
    bundle.save(folder / f"{scenario.name}.safetensors")
    rows = sum(len(values) for values in scenario.training.values())
    console.print(
        f"trained [bold]{scenario.name}[/bold] on {rows:,} clean samples of {len(scenario.training)} stream(s) "
        f"in {time.monotonic() - began:.1f} s"
    )


def _configuration(scenarios: Sequence[Scenario], folder: Path, kafka: str | None) -> Config:
    """Write the configuration as a user would, and load it."""
    run = f"demo-{uuid.uuid4().hex[:8]}"
    data: dict[str, Any] = {
        "app": {"id": run},
        "sources": [{"topics": [f"{run}.telemetry"]}],
        "models": [{"match": scenario.pattern, "bundle": f"{scenario.name}.safetensors"} for scenario in scenarios],
        "sinks": {"prefix": f"{run}.", "scores": "anomalous"},
    }
    data |= {"kafka": {"bootstrap_servers": kafka}} if kafka else {"local": {"path": f"{run}.db"}}
    (folder / "streamlstm.yaml").write_bytes(msgspec.yaml.encode(data))
    return parse_config(data, folder=folder)


def _run(config: Config, scenarios: Sequence[Scenario], console: Console) -> tuple[list[AlertRecord], float]:
    """Replay the live part while the worker runs beside; return the alerts and how long it took."""
    service, stop = build_service(config), threading.Event()
    failures: list[StreamLstmError] = []

    def work() -> None:
        try:
            service.worker.run(stop.is_set)
        except StreamLstmError as error:
            failures.append(error)

    topic = config.sources[0].topics[0]
    publisher = open_publisher(config)
    publisher.ensure_topic(topic)
    worker = threading.Thread(target=work, name="worker")
    began = time.monotonic()
    try:
        worker.start()
        with ProgressBar("replay") as progress:
            done = 0
            live = sum(len(one.values) for scenario in scenarios for one in scenario.live)
            for scenario in scenarios:
                for published, _ in publish_series(
                    publisher, topic, scenario.live, samples_per_record=scenario.samples_per_record
                ):
                    progress.update(
                        done + published, live, f"{_scored(service):,} scored, {_open(service)} alerts open"
                    )
                done += sum(len(one.values) for one in scenario.live)
            _wait_until_scored(service, live, failures, progress)
        took_s = time.monotonic() - began
    finally:
        stop.set()
        worker.join()
        publisher.close()
    if failures:
        raise failures[0]
    reader = open_reader(config)
    try:
        decode = msgspec.json.Decoder(AlertRecord).decode
        return [decode(record.value) for record in reader.read(f"{config.sinks.prefix}alerts") if record.value], took_s
    finally:
        reader.close()


def _wait_until_scored(service: Service, live: int, failures: list[StreamLstmError], progress: ProgressBar) -> None:
    deadline, seen = time.monotonic() + _PATIENCE_S, -1
    while (scored := _scored(service)) < live and not failures:
        if scored > seen:
            seen, deadline = scored, time.monotonic() + _PATIENCE_S
        if time.monotonic() > deadline:
            raise TransportError(
                f"expected {live:,} samples to be scored, got {scored:,}, and none in {_PATIENCE_S:.0f} s"
            )
        progress.update(live, live, f"{scored:,} scored, {_open(service)} alerts open")
        time.sleep(0.05)


def _scored(service: Service) -> int:
    counts = [pipeline.counts for pipeline in list(service.pipelines.values())]
    return sum(n for count in counts for key, n in list(count.items()) if key.startswith("samples_"))


def _open(service: Service) -> int:
    return sum(len(pipeline.open_alerts) for pipeline in list(service.pipelines.values()))


def _verdict(scenario: Scenario, alerts: Sequence[AlertRecord]) -> GroupVerdict:
    spans = [AlertSpan.of_record(alert) for alert in alerts]
    streams = tuple(
        judge(
            one.stream_id,
            spans,
            scenario.episodes[one.stream_id],
            begin_ms=int(one.event_time_ms[0]),
            end_ms=int(one.event_time_ms[-1]),
            tolerance_ms=scenario.tolerance_ms,
        )
        for one in scenario.live
    )
    return GroupVerdict(scenario.title, streams)
