"""What a file of events says, read with TensorBoard's own reader, and that a resumption replaces what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamlstm.training.tracking.tensorboard_events import TensorBoardEvents
from streamlstm.training.trainer import ValidationPoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what TensorBoard imports


def written(folder: Path, *, updates: tuple[int, ...], hidden: int) -> None:
    events = TensorBoardEvents(folder)
    events.begin({"name": "pump", "hidden": hidden})
    for update in updates:
        events.validation(ValidationPoint(update, 1, 0.5, 9 / update, 0.02, 1.5))
    events.end({"updates": updates[-1]}, [])
    events.close()


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_a_resumption_replaces_what_was_written_before_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    written(tmp_path, updates=(3, 6), hidden=5)
    written(tmp_path, updates=(3, 6, 9), hidden=7)
    events = read(tmp_path)
    told = {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert told["loss/validation"] == [(3, 3.0), (6, 1.5), (9, 1.0)]
    assert all([step for step, _ in points] == [3, 6, 9] for points in told.values())
    for tag, line in (("plan", "| hidden | 7 |"), ("summary", "| updates | 9 |")):
        text = events.Tensors(tag)[-1]  # its reader keeps the texts of before as well
        assert (text.step, text.tensor_proto.tensor_shape.dim[0].size) == (0, 1)
        [table] = text.tensor_proto.string_val
        assert table.decode().splitlines()[:2] == ["| | |", "|---|---|"] and line in table.decode()
