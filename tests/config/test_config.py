"""Configuration: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from streamlstm.config import Config, json_schema, load_config, parse_config
from streamlstm.errors import ConfigError
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.delays import Delay
from streamlstm.scoring.thresholds import Threshold
from streamlstm.wiring.worker import pipeline_options

ROOT = Path(__file__).parents[2]

CONTRACT = """\
app: {id: icu-vitals, guarantee: at_least_once, commit_interval: 100ms}
kafka: {bootstrap_servers: "localhost:9092", security: {protocol: PLAINTEXT}}
sources: [{topics: ["telemetry.vitals"], format: json, stream_id: "$.stream_id", ts: {path: "$.ts", unit: rfc3339}}]
models: [{match: "ward*/**", bundle: ./models/vitals.safetensors}]
gaps: {expected_period: 2.5ms, reset_after: 60s, late: drop}
threshold: {method: spot, false_alarms_per_stream_day: 0.3}
sinks: {prefix: "streamlstm.", scores: off}
alerts: {open_after: 3, resolve_after: 7, refractory: 40s}
state: {snapshot_interval: 20s, idle_ttl: 7d, max_streams: 1000}
"""
MINIMAL = """\
app:
  id: pumps
sources:
  - topics: [telemetry]
models:
  - match: "**"
    bundle: /models/pumps.safetensors
"""


def load(folder: Path, text: str, *overrides: str) -> Config:
    file = folder / "app.yaml"
    file.write_text(text, "utf-8")
    return load_config(file, overrides)


def refusal(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_contract_example(tmp_path: Path) -> None:
    config = load(tmp_path, CONTRACT)
    assert (config.app.commit_interval_ms, config.gaps.expected_period_ms, config.gaps.reset_after_ms) == (
        100,
        2.5,
        60_000,
    )
    assert (config.alerts.refractory, config.state.idle_ttl_ms) == (Delay(ms=40_000), 7 * 86_400_000)
    assert (config.alerts.open_after, config.alerts.resolve_after) == (Delay(samples=3), Delay(samples=7))
    assert config.threshold.threshold() == Threshold(0.3)
    assert config.kafka is not None and config.local is None
    assert config.sources[0].topics == ("telemetry.vitals",) and config.sources[0].max_ahead_ms == 300_000
    assert config.models[0].bundle == tmp_path / "models/vitals.safetensors"
    assert config.sinks.scores == "off", "a word, not YAML 1.1's false"
    assert config.guarantee == "at_least_once"
    with pytest.raises(ValidationError, match="frozen"):
        config.app.id = "other"


def test_local_is_the_default_and_commits_exactly_once(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    assert config.local is not None and config.local.path == tmp_path / "streamlstm.db"
    assert config.guarantee == "exactly_once"
    assert load(tmp_path, MINIMAL, "app.guarantee=at_least_once").guarantee == "at_least_once"
    assert config.models[0].bundle == Path("/models/pumps.safetensors")


def test_every_problem_is_listed_with_line_and_key(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + 'sinks: {scores: packed, prefix: "a b"}\nserver: {listen: "127.0.0.1:8490"}\n'
        + "alerts:\n  open_aftr: 3\n"
    )
    assert refusal(tmp_path, text) == [
        "app.yaml:8: sinks.prefix: expected only letters, digits, '.', '_' and '-', got 'a b'",
        "app.yaml:8: sinks.scores: expected 'all', 'anomalous' or 'off', got 'packed'",
        "app.yaml:11: alerts.open_aftr: unknown key; did you mean 'open_after'?",
        "app.yaml:9: server: unknown key; expected one of app, kafka, local, sources, models, gaps, threshold, sinks, "
        "alerts, state, retrain",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gaps: {reset_afer: 10s}", "app.yaml:8: gaps.reset_afer: unknown key; did you mean 'reset_after'?"),
        (
            "gaps: {reset_after: 10}",
            "app.yaml:8: gaps.reset_after: expected a number with a unit (ms, s, m, h, d) such as ",
        ),
        ("gaps: {reset_after: -1s}", "app.yaml:8: gaps.reset_after: expected a number with a unit"),
        ("gaps: {expected_period: 5s, reset_after: 5s}", "app.yaml:8: gaps: expected reset_after to be longer than"),
        ("alerts: {open_after: true}", "app.yaml:8: alerts.open_after: expected samples from 1 on, or a wait such as"),
        ("alerts: {open_after: 0}", "app.yaml:8: alerts.open_after: expected samples from 1 on, or a wait such as 2 s"),
        ("alerts: {open_after: 2.5}", "app.yaml:8: alerts.open_after: expected samples from 1 on, or a wait such as"),
        ("alerts: {refractory: 5 minutes}", "app.yaml:8: alerts.refractory: expected samples from 1 on, or a wait"),
        (
            "alerts: {refractory: 2.5 samples}",
            "app.yaml:8: alerts.refractory: expected a whole number of samples and of milliseconds, got '2.5 samples'",
        ),
        (
            "alerts: {refractory: 5s and 3s}",
            "app.yaml:8: alerts.refractory: expected each of samples, time and periods once, got '5s and 3s'",
        ),
        ("alerts: {outside_budget: all}", "app.yaml:8: alerts.outside_budget: expected 'none', 'high', 'medium' or"),
        (
            "threshold: {false_alarms_per_stream: 6, false_alarms_per_stream_day: 1}",
            "app.yaml:8: threshold: expected one of false_alarms_per_stream_day and false_alarms_per_stream, got both",
        ),
        (
            "threshold: {false_alarms_per_stream_day: 6, per: hour}",
            "app.yaml:8: threshold: expected false_alarms_per_stream beside per, which says what that is counted by",
        ),
        ("threshold: {false_alarms_per_stream: 6, per: week}", "app.yaml:8: threshold.per: expected 'day' or 'hour'"),
        (
            "threshold: {false_alarms_per_stream_day: 5.0e-324}",
            "app.yaml:8: threshold: false_alarms_per_stream_day: expected at least 1e-300, got 5e-324; 1e-9 is",
        ),
        (
            "gaps: {expected_period: 5s, silent_after: 10s}",
            "app.yaml:8: gaps: expected silent_after to be longer than twice expected_period",
        ),
        ("alerts: {refractory: }", "app.yaml:8: alerts.refractory: expected a value, got nothing; leave the key out"),
        (
            "threshold: {false_alarms_per_stream_day: .nan}",
            "app.yaml:8: threshold.false_alarms_per_stream_day: expected a ",
        ),
        ("state: {snapshot_interval: 0s}", "app.yaml:8: state.snapshot_interval: expected more than zero, got 0"),
        ("kafka: {bootstrap_servers: nowhere}", "app.yaml:8: kafka.bootstrap_servers: expected HOST:PORT"),
        ("kafka: {security: {}}", "app.yaml:8: kafka.bootstrap_servers: is missing"),
        ("app: {id: twice}", "app.yaml:1: app: is written twice, again on line 8"),
        ("alerts: *there", "app.yaml:8:9: aliases (*name) are not supported"),
        ("alerts: !!python/object:os.system {}", "app.yaml:8:9: tags (!name) are not supported"),
        ("alerts: {open_after: 3", "app.yaml:9:1: expected ',' or '}', but got '<stream end>'"),
        ("alerts: [", "app.yaml:9:1: "),
        ("alerts: \x07", "app.yaml:8: expected printable text, got the character "),
    ],
)
def test_refused(tmp_path: Path, line: str, expected: str) -> None:
    lines = refusal(tmp_path, f"{MINIMAL}{line}\n")
    assert lines[0].startswith(expected), lines


WAITS = ("open_after", "resolve_after", "min_duration", "refractory", "escalate_after")


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("4", Delay(samples=4)),
        ("1 sample", Delay(samples=1)),
        ("4 samples", Delay(samples=4)),
        ("1.5m", Delay(ms=90_000)),
        ("0s", Delay()),
        ("0.5 periods", Delay(periods=0.5)),
        ("1 period", Delay(periods=1.0)),
        ("30s and 32 samples", Delay(samples=32, ms=30_000)),
        ("2 periods and 1h and 3 samples", Delay(samples=3, ms=3_600_000, periods=2.0)),
    ],
)
def test_waits_of_alerts(tmp_path: Path, text: str, wait: Delay) -> None:
    for key in WAITS:
        assert getattr(load(tmp_path, f"{MINIMAL}alerts: {{{key}: {text}}}\n").alerts, key) == wait
    assert load(tmp_path, f"{MINIMAL}alerts: {{refractory: {wait}}}\n").alerts.refractory == wait


def test_what_is_not_written_of_alerts_is_the_policy_of_the_library(tmp_path: Path) -> None:
    written, given = load(tmp_path, MINIMAL), load(tmp_path, f"{MINIMAL}alerts: {{outside_budget: high}}\n")
    assert pipeline_options(written).alerts == AlertPolicy()
    assert pipeline_options(given).alerts == AlertPolicy(outside_budget="high")
    assert pipeline_options(written).threshold == Threshold()


def test_a_budget_by_the_hour(tmp_path: Path) -> None:
    hourly = load(tmp_path, f"{MINIMAL}threshold: {{false_alarms_per_stream: 6, per: hour}}\n").threshold.threshold()
    assert hourly == Threshold.of(6, per="hour") and hourly.false_alarms_per_stream_day == 144
    daily = load(tmp_path, f"{MINIMAL}threshold: {{false_alarms_per_stream: 6}}\n").threshold.threshold()
    assert daily == Threshold(6)


def test_contradictions(tmp_path: Path) -> None:
    text = """\
app: {id: a, guarantee: exactly_once}
kafka: {bootstrap_servers: "k1:9092,k2:9092"}
local: {path: log.db}
sources:
  - topics: [in, streamlstm.scores]
  - topics:
      - in
    ts: {path: "$.stream_id"}
    start: latest
models: [{match: "a/*", bundle: m}, {match: "a/*", bundle: n}]
"""
    assert [line.partition(", ")[0] for line in refusal(tmp_path, text)] == [
        "app.yaml:3: local: expected one of kafka and local",
        "app.yaml:1: app.guarantee: expected at_least_once with kafka",
        "app.yaml:5: sources[0].topics[1]: expected an input",
        "app.yaml:9: sources[1].start: expected one start for all sources",
        "app.yaml:8: sources[1].ts.path: expected another field than that of stream_id",
        "app.yaml:7: sources[1].topics[0]: expected each topic once",
        "app.yaml:10: models[1].match: expected each pattern once",
    ]


def test_empty_lists_and_empty_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, MINIMAL.replace("[telemetry]", "[]")) == [
        "app.yaml:4: sources[0].topics: expected at least one, got an empty list"
    ]
    assert refusal(tmp_path, "# nothing\n") == [
        "app.yaml:1: app: is missing",
        "app.yaml:1: sources: is missing",
        "app.yaml:1: models: is missing",
    ]
    assert refusal(tmp_path, "- a\n") == ["app.yaml:1: expected keys such as `sources:`, got a list"]
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the configuration: No such file"):
        load_config(tmp_path / "none.yaml")


SASL = (
    MINIMAL
    + "kafka:\n  bootstrap_servers: b:9092\n"
    + "  security: {protocol: SASL_SSL, mechanism: PLAIN, username: me, password: %s}\n"
)


def test_secrets_come_from_variables_and_files_and_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2: [")
    config = load(tmp_path, SASL % '"${BROKER_PASSWORD}"')
    assert config.kafka is not None and config.kafka.security.password is not None
    assert config.kafka.security.password.get_secret_value() == "hunter2: ["
    assert "hunter2" not in repr(config) + str(config) + config.model_dump_json()
    secret = tmp_path / "secret"
    secret.write_text("hunter3\n")
    from_file = load(tmp_path, SASL % f"'${{file:{secret}}}'")
    assert from_file.kafka is not None and from_file.kafka.security.password is not None
    assert from_file.kafka.security.password.get_secret_value() == "hunter3"

    shown = refusal(tmp_path, SASL % "12345678")
    [line] = shown
    assert line.startswith("app.yaml:10: kafka.security.password: expected text")
    assert line.endswith("got one that is not shown")
    for text in (SASL % "hunter4, mechanism: [", SASL % "*hunter4", SASL % "!hunter4 x", SASL % "'hunter4"):
        assert "hunter4" not in "".join(refusal(tmp_path, text))
    [line] = refusal(tmp_path, MINIMAL + 'sinks: {scores: "${BROKER_PASSWORD}"}\n')
    assert line.startswith("app.yaml:8: sinks.scores: expected 'all', 'anomalous' or 'off', got ")
    assert line.endswith("got ${BROKER_PASSWORD} (its value is not shown)")


def test_references_that_lead_nowhere(tmp_path: Path) -> None:
    text = MINIMAL + 'sinks: {prefix: "${UNSET_9A}"}\nlocal: {path: "${file:/no/such}"}\nalerts: {refractory: "${}"}\n'
    lines = refusal(tmp_path, text)
    assert "app.yaml:8: sinks.prefix: the environment variable UNSET_9A is not set" in lines
    assert "app.yaml:9: local.path: cannot read the file /no/such: No such file or directory" in lines
    assert any(
        line.startswith("app.yaml:10: alerts.refractory: expected ${VARIABLE} or ${file:/path}") for line in lines
    )


def test_security_is_complete_or_refused(tmp_path: Path) -> None:
    start = MINIMAL + "kafka:\n  bootstrap_servers: b:9092\n  security: "
    assert refusal(tmp_path, start + "{protocol: SASL_SSL, mechanism: PLAIN}\n") == [
        "app.yaml:10: kafka.security: expected username, password with protocol SASL_SSL"
    ]
    assert refusal(tmp_path, start + "{username: me, ca_file: ca.pem, cert_file: c.pem}\n") == [
        "app.yaml:10: kafka.security: expected no username with protocol PLAINTEXT; "
        "expected no ca_file, cert_file with protocol PLAINTEXT; expected cert_file and key_file together"
    ]


def test_overrides(tmp_path: Path) -> None:
    config = load(
        tmp_path, MINIMAL, "sources.0.start=latest", "sinks.scores=off", "local.path=/x.db", "sources.0.topics=[a, b]"
    )
    assert config.sources[0].start == "latest" and config.sources[0].topics == ("a", "b")
    assert config.sinks.scores == "off" and config.local is not None and config.local.path == Path("/x.db")
    assert refusal(tmp_path, MINIMAL, "alerts.opn=3", "sources.2.start=latest", "nothing", "sinks.scores=some") == [
        "--set sources.2.start: sources has items 0 to 0, not '2'",
        "--set nothing: expected KEY.KEY=VALUE",
        "--set sinks.scores: sinks.scores: expected 'all', 'anomalous' or 'off', got 'some'",
        "--set alerts.opn: alerts.opn: unknown key; expected one of open_after, resolve_after, min_duration, "
        "refractory, escalate_after, outside_budget, settled",
    ]


def test_verdicts_go_where_scores_go(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "sinks.settled=true").sinks.settled
    assert refusal(tmp_path, MINIMAL, "sinks.settled=true", "sinks.scores=off") == [
        "--set sinks.settled: sinks.settled: expected false where scores are off, as verdicts go beside them, got true"
    ]


def test_plain_data(tmp_path: Path) -> None:
    data = {"app": {"id": "a"}, "sources": [{"topics": ["t"]}], "models": [{"match": "*", "bundle": "m"}]}
    assert parse_config(data, folder=tmp_path).models[0].bundle == tmp_path / "m"
    with pytest.raises(ConfigError, match=r"sources\[0\]\.topics\[0\]: expected only letters"):
        parse_config({**data, "sources": [{"topics": ["a b"]}]})


def test_published_schema_is_current() -> None:
    published = (ROOT / "docs/config.schema.json").read_text("utf-8")
    assert json.loads(published) == json_schema(), "run `make schema`"
