"""What the configurations of `train` and `retrain` say about a network and about its training.

What a missing key means is chosen from the data, and logged.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from streamlstm.config.section import Section
from streamlstm.config.values import Count, Number, Rate, Share, Whole
from streamlstm.training.options import RENAMED, Loss, Optimizer, Schedule

__all__ = ["NetworkShape", "TrainerSettings"]


def _cells(value: object) -> str:
    names = value.split(",") if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return ",".join(names)
    raise ValueError("expected the name of a cell, or a list with one for each layer")


Cells: TypeAlias = Annotated[
    str,
    PlainValidator(_cells),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class NetworkShape(Section):
    """The network."""

    cell: Cells | None = None
    """lstm, peephole, gru, gru_reset_before or rnn; or one for each layer, the lowest first."""
    hidden: Count | None = None
    layers: Count | None = None
    projection: Whole | None = None
    """How many outputs the LSTM kinds project their hidden units to; 0 means no projection."""
    forecast: Count | None = None
    """How many samples ahead to forecast."""
    reconstruct: Count | None = None
    """How many samples back to rebuild."""
    mask_inputs: bool | None = None
    """Tell the network which values were observed."""


class TrainerSettings(Section):
    """How the network is trained: the fields of `TrainerOptions`, which says what each one means."""

    RENAMED: ClassVar[dict[str, str]] = RENAMED

    bptt_steps: Count | None = None
    batch: Count | None = None
    reset_every: Count | None = None
    burn_in: Whole | None = None
    loss: Loss | None = None
    huber_delta: Rate | None = None
    trim: Share | None = None
    optimizer: Optimizer | None = None
    learning_rate: Rate | None = None
    momentum: Share | None = None
    weight_decay: Number | None = None
    clip_norm: Rate | None = None
    schedule: Schedule | None = None
    dropout: Share | None = None
    recurrent_dropout: Share | None = None
    jitter: Number | None = None
    scale: Number | None = None
    time_warp: Number | None = None
    channel_drop: Share | None = None
    max_updates: Count | None = None
    validate_every: Count | None = None
    patience: Count | None = None
    seed: Whole = 1
