"""The log of JSON lines, read back as it is written; and what a full disk leaves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from streamlstm.errors import StreamLstmError
from streamlstm.training.tracking.tracker import JsonLog
from streamlstm.training.trainer import ValidationPoint


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_event_is_a_line_at_once_and_a_new_log_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "m.log.jsonl"
    path.write_text("an older log\n")
    log = JsonLog(path)
    assert path.read_text() == "an older log\n"  # until there is something to say
    log.begin({"name": "m", "rows": 7})
    assert lines_of(path) == [{"event": "plan", "name": "m", "rows": 7}]
    log.validation(ValidationPoint(3, 1, 0.5, math.nan, 0.02, 1.5))
    look = lines_of(path)[-1]
    assert (look["event"], look["update"], look["validation_loss"]) == ("look", 3, None)
    log.end({"updates": 3}, [Path("m.safetensors")])
    assert lines_of(path)[2:] == [{"event": "summary", "updates": 3, "files": ["m.safetensors"]}]
    log.close()
    log.close()
    with pytest.raises(AssertionError):  # nothing is written after the end
        log.validation(ValidationPoint(6, 1, 0.5, 0.5, 0.02, 1.5))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_writes_that_fall_short_are_gone_on_with(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log")
    log.begin({"name": "a name that is long enough"})
    file = log._file
    assert file is not None

    class Slow:
        def write(self, line: bytes) -> int:
            return file.write(line[:5])

        def close(self) -> None:
            file.close()

    log._file = Slow()  # type: ignore[assignment]  # as much of a file as the log needs
    log.end({"updates": 3}, [])
    log.close()
    assert file.closed
    assert lines_of(tmp_path / "log")[1] == {"event": "summary", "updates": 3, "files": []}


def test_a_disk_that_refuses_leaves_the_log_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.mkdir()
    (path / "kept").touch()
    log = JsonLog(path)
    with pytest.raises(StreamLstmError, match="log: the log cannot be written"):
        log.begin({})
    log.close()
    assert [one.name for one in tmp_path.iterdir()] == ["log"] and (path / "kept").exists()
