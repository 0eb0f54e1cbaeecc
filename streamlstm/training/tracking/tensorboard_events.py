"""Training in TensorBoard: an event file of scalars by update, and the plan as text (extra `tracking`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamlstm.errors import StreamLstmError, UsageError
from streamlstm.training.trainer import ValidationPoint

__all__ = ["TensorBoardEvents"]

_TAGS = {
    "loss/training": "loss",
    "loss/validation": "validation_loss",
    "learning_rate": "learning_rate",
    "gradient_norm": "gradient_norm",
    "epoch": "epoch",
}


class TensorBoardEvents:
    """A run in a folder. Beginning it anew hides what the folder's older event files say of the same steps.

    Raises: UsageError when tensorboard is not installed; StreamLstmError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise UsageError('tensorboard is not installed; pip install "streamlstm[tracking]"') from error
        self._event, self._summary, self._types = event_pb2, summary_pb2, types_pb2
        self._tensor, self._shape = tensor_pb2, tensor_shape_pb2
        try:
            self._writer = EventFileWriter(str(folder))
        except OSError as error:
            raise StreamLstmError(f"{folder}: event files cannot be written ({error.strerror})") from error

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Open a session at step 0 and write the plan."""
        session = self._event.SessionLog(status=self._event.SessionLog.START)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=0, session_log=session))
        self._text("plan", plan)

    def validation(self, point: ValidationPoint) -> None:
        """Write the scalars of a validation point at its update."""
        values = [
            self._summary.Summary.Value(tag=tag, simple_value=float(getattr(point, name)))
            for tag, name in _TAGS.items()
        ]
        self._add(point.update, values)
        self._writer.flush()

    def end(self, summary: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Write the summary."""
        self._text("summary", summary)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()

    def _add(self, step: int, values: list[Any]) -> None:
        summary = self._summary.Summary(value=values)
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, summary=summary))

    def _text(self, tag: str, fields: Mapping[str, Any]) -> None:
        table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in fields.items())])
        tensor = self._tensor.TensorProto(
            dtype=self._types.DT_STRING,
            string_val=[table.encode()],
            tensor_shape=self._shape.TensorShapeProto(dim=[self._shape.TensorShapeProto.Dim(size=1)]),
        )
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        metadata = self._summary.SummaryMetadata(plugin_data=plugin)
        self._add(0, [self._summary.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])
