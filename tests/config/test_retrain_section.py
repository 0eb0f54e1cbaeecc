"""The section `retrain`: its defaults, its range of time, and which model it publishes for."""

from __future__ import annotations

from typing import Any

import pytest

from streamlstm.config import parse_config
from streamlstm.config.retraining import Retrain
from streamlstm.errors import ConfigError, UsageError

NOW_MS = 1_795_300_000_000
DAY_MS = 86_400_000


def section(models: list[dict[str, str]] | None = None, **retrain: Any) -> Retrain:
    found = parse_config(
        {
            "app": {"id": "icu"},
            "sources": [{"topics": ["telemetry"]}],
            "models": models or [{"match": "**", "bundle": "./models/vitals/champion"}],
            "retrain": {"registry": "models", "name": "vitals"} | retrain,
        },
        folder="/etc/icu",
    ).retrain
    assert found is not None
    return found


def test_the_least_that_is_needed() -> None:
    found = section()
    assert str(found.registry) == "/etc/icu/models"
    assert (found.start, found.compare, found.margin, found.keep) == ("champion", 0.2, 0.02, 10)
    assert (found.leave_out.alerts, found.leave_out.before_ms, found.leave_out.after_ms) == (True, 300_000, 300_000)
    assert found.range_ms(NOW_MS) == (NOW_MS - 7 * DAY_MS, None)


@pytest.mark.parametrize(
    ("begin", "until", "expected"),
    [
        ("-36h", "now", (NOW_MS - 129_600_000, None)),
        ("2026-11-21T01:20:30.250Z", "now", (1_795_224_030_250, None)),
        ("-1d", "2026-11-10T02:00:00+01:00", (1_794_272_400_000 - DAY_MS, 1_794_272_400_000)),
        ("-10d", "-3d", (NOW_MS - 13 * DAY_MS, NOW_MS - 3 * DAY_MS)),
    ],
)
def test_the_range_of_time(begin: str, until: str, expected: tuple[int, int | None]) -> None:
    assert section(**{"from": begin, "until": until}).range_ms(NOW_MS) == expected


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match=r"retrain.from: expected a time before -9d \(retrain.until\), got 2026-11-21"):
        section(**{"from": "2026-11-21T00:00:00Z", "until": "-9d"}).range_ms(NOW_MS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from": "7d"}, r"retrain.from: expected a time such as 2026-11-21T01:20:30Z, .* got '7d'"),
        ({"from": "2026-11-21T00:00:00"}, r"retrain.from: expected a time such as .* got '2026-11-21T00:00:00'"),
        ({"until": "-3 weeks"}, r"retrain.until: expected a time such as"),
        ({"margin": 1}, r"retrain.margin: expected less than 1"),
        ({"leave_out": {"befor": "5m"}}, r"retrain.leave_out.befor: unknown key; did you mean 'before'"),
        ({"training": {"updates": 5}}, r"retrain.training.updates: unknown key; did you mean 'max_updates'"),
        ({"name": "a/b"}, r"retrain.name: expected only letters"),
        ({"name": "other"}, r"retrain.match: expected a pattern .*models/other/champion to take it from, got neither"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        section(**change)


def test_the_pattern_may_come_from_the_model_that_the_worker_loads() -> None:
    models = [{"match": "a/*", "bundle": "a.safetensors"}, {"match": "**", "bundle": "x/../models/./vitals/champion"}]
    assert section(models).match is None
    assert section([{"match": "**", "bundle": "elsewhere"}], match="ward*/**").match == "ward*/**"
