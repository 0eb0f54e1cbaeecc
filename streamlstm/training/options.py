"""What the trainer is told. Time is counted in rows and updates, never in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

from streamlstm.errors import ShapeError, UsageError
from streamlstm.model.network import Architecture

__all__ = ["Loss", "Optimizer", "Schedule", "TrainerOptions", "choose_cells"]

Loss: TypeAlias = Literal["mse", "huber", "gaussian"]
Optimizer: TypeAlias = Literal["adamw", "sgd"]
Schedule: TypeAlias = Literal["cosine", "one_cycle", "plateau", "constant"]

_NAMES = {"loss": get_args(Loss), "optimizer": get_args(Optimizer), "schedule": get_args(Schedule)}
_MAY_BE_ZERO = frozenset(("burn_in", "seed", "weight_decay", "projection", "jitter", "scale", "time_warp"))
_SHARES = frozenset(("momentum", "dropout", "recurrent_dropout", "trim", "channel_drop"))
_NUMBERS = frozenset(("learning_rate", "weight_decay", "clip_norm", "huber_delta", "jitter", "scale", "time_warp"))


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Sizes of the network and how it is trained."""

    hidden: int = 32
    cells: tuple[str, ...] = ("lstm",)
    """The cell of each layer, the lowest first."""
    projection: int = 0
    """Outputs of the layers of the LSTM kinds; 0 = all hidden units."""
    mask_inputs: bool = False
    """The network is also told which values were observed: one input more a channel."""
    forecast: int = 16
    reconstruct: int = 128

    segment: int = 128
    """Rows a lane runs, and gradients reach back, at one update."""
    batch: int = 16
    """Lanes. In the same time, more updates of 16 lanes came to a lower loss than fewer of 32 or 64 (ECG, servers)."""
    stretch: int = 1024
    """Rows a lane runs over, its state carried from update to update, before the state starts again from zero. As many
    as of a segment: no state is carried, and burn-in alone prepares it."""
    burn_in: int = 16
    """First rows of a stretch, whose state has seen too little to be judged."""

    loss: Loss = "mse"
    """huber grows linearly beyond `huber_delta`; gaussian learns a variance beside each output and weighs errors by
    it."""
    huber_delta: float = 1.0
    """In deviations of a channel."""
    trim: float = 0.0
    """Share of the rows of an update, those of the largest loss, that are left out: the data may hold anomalies."""
    optimizer: Optimizer = "adamw"
    learning_rate: float = 2e-2
    """Peak of the schedule. 0.01 is slower, at 0.03 some seeds fail."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    """Most that the gradient's Euclidean norm may be; it is scaled down to it."""
    schedule: Schedule = "cosine"

    dropout: float = 0.0
    """Share of a layer's outputs that the layer above does not see, drawn anew for each row."""
    recurrent_dropout: float = 0.0
    """Share of a layer's outputs that it does not see of itself, the same at all rows of an update."""
    jitter: float = 0.0
    """Deviation of noise added to the inputs, not to what they are compared with."""
    scale: float = 0.0
    """Deviation of the factor, about 1, by which a channel of a stretch is multiplied."""
    time_warp: float = 0.0
    """Deviation of the speed, about 1, at which a stretch is played; it changes along the stretch."""
    channel_drop: float = 0.0
    """Share of the channels of a stretch whose input is missing."""

    max_updates: int = 1000
    """Twice as many bring the validation loss down by another quarter but find no more: on ECG and servers the error of
    the newest sample then told anomalies apart a little worse."""
    validate_every: int = 25
    """Updates between two validations."""
    patience: int = 10
    """Looks in a row without a better validation loss after which training stops."""
    seed: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "cells":
                continue
            if names := _NAMES.get(field.name):
                if value not in names:
                    raise UsageError(f"{field.name}: expected {', '.join(names)}, got {value!r}")
            elif field.name == "mask_inputs":
                if not isinstance(value, bool):
                    raise UsageError(f"mask_inputs: expected true or false, got {value!r}")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{field.name}: expected a number, got {value!r}")
            else:
                _check_number(field.name, value)
        try:
            Architecture(1, self.hidden, self.cells, projection=self.projection)
        except ShapeError as error:
            raise UsageError(str(error)) from error


def choose_cells(cell: str | Sequence[str], layers: int | None) -> tuple[str, ...]:
    """Return the cell of each layer: one name is that of all layers, several (also comma separated) are one each.

    Raises: UsageError when there are several, and not as many as layers.
    """
    names = tuple(name.strip() for name in cell.split(",")) if isinstance(cell, str) else tuple(cell)
    if len(names) == 1:
        return names * (layers or 1)
    if layers is not None and layers != len(names):
        raise UsageError(f"cell: expected one name, or {layers} for {layers} layer(s), got {len(names)}")
    return names


def _check_number(name: str, value: float) -> None:
    if name in _SHARES:
        if not 0 <= value < 1:
            raise UsageError(f"{name}: expected a share from 0 to below 1, got {value!r}")
        return
    if name not in _NUMBERS and not isinstance(value, int):
        raise UsageError(f"{name}: expected a whole number, got {value!r}")
    if name in _MAY_BE_ZERO:
        if not 0 <= value < float("inf"):
            raise UsageError(f"{name}: expected at least 0, got {value!r}")
    elif name in _NUMBERS:
        if not 0 < value < float("inf"):
            raise UsageError(f"{name}: expected a positive number, got {value!r}")
    elif value < 1:
        raise UsageError(f"{name}: expected at least 1, got {value!r}")
