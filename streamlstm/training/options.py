"""What the trainer is told. Time is counted in rows and updates, never in seconds."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from streamlstm.errors import ShapeError, UsageError
from streamlstm.model.network import Architecture

__all__ = [
    "RENAMED",
    "WINDOW_OPTIONS",
    "Loss",
    "Optimizer",
    "Schedule",
    "TrainerOptions",
    "as_first_named",
    "check_names",
    "choose_cells",
    "stored_options",
]

Loss: TypeAlias = Literal["mse", "huber", "gaussian"]
Optimizer: TypeAlias = Literal["adamw", "sgd"]
Schedule: TypeAlias = Literal["cosine", "one_cycle", "plateau", "constant"]

RENAMED = {"segment": "bptt_steps", "stretch": "reset_every"}
"""Options that version 0.1.0 called by another name."""

WINDOW_OPTIONS = (
    "batch",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "clip_norm",
    "schedule",
    "max_updates",
    "validate_every",
    "patience",
    "seed",
)
"""Those that a whole-window network is trained by."""

_NAMES = {"loss": get_args(Loss), "optimizer": get_args(Optimizer), "schedule": get_args(Schedule)}
_MAY_BE_ZERO = frozenset(("burn_in", "seed", "weight_decay", "projection", "jitter", "scale", "time_warp"))
_SHARES = frozenset(("momentum", "dropout", "recurrent_dropout", "trim", "channel_drop"))
_NUMBERS = frozenset(("learning_rate", "weight_decay", "clip_norm", "huber_delta", "jitter", "scale", "time_warp"))


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Sizes of the network and how it is trained."""

    hidden: int = 32
    """Hidden units of each layer."""
    cells: tuple[str, ...] = ("lstm",)
    """The cell of each layer, the lowest first."""
    projection: int = 0
    """Outputs of the layers of the LSTM kinds; 0 = all hidden units."""
    mask_inputs: bool = False
    """The network is also told which values were observed: one input more a channel."""
    forecast: int = 16
    """Samples ahead that are forecast."""
    reconstruct: int = 128
    """Samples back that are rebuilt."""

    bptt_steps: int = 128
    """Rows that a sequence moves on, and gradients reach back, at one update."""
    batch: int = 16
    """Sequences side by side. In the same time, more updates of 16 came to a lower loss than fewer of 32 or 64 (ECG,
    servers)."""
    reset_every: int = 1024
    """Rows of a sequence: state is carried over them from update to update, then starts again from zero. As many as
    bptt_steps: no state is carried, and burn-in alone prepares it."""
    burn_in: int = 16
    """First rows of a sequence, whose state has seen too little to be judged."""

    loss: Loss = "mse"
    """mse, huber or gaussian. huber grows linearly beyond `huber_delta`; gaussian learns a variance beside each output
    and weighs errors by it."""
    huber_delta: float = 1.0
    """In deviations of a channel."""
    trim: float = 0.0
    """Share of the rows of an update, those of the largest loss, that are left out: the data may hold anomalies."""
    optimizer: Optimizer = "adamw"
    """adamw or sgd."""
    learning_rate: float = 2e-2
    """Peak of the schedule. 0.01 is slower, at 0.03 some seeds fail."""
    momentum: float = 0.9
    """Of sgd."""
    weight_decay: float = 1e-2
    """Share that an update takes off the weights, times the learning rate. (sgd adds it to the gradient instead.)"""
    clip_norm: float = 1.0
    """Most that the gradient's Euclidean norm may be; it is scaled down to it."""
    schedule: Schedule = "cosine"
    """cosine, one_cycle, plateau or constant: how the learning rate changes."""

    dropout: float = 0.0
    """Share of a layer's outputs that the layer above does not see, drawn anew for each row."""
    recurrent_dropout: float = 0.0
    """Share of a layer's outputs that it does not see of itself, the same at all rows of an update."""
    jitter: float = 0.0
    """Deviation of noise added to the inputs, not to what they are compared with."""
    scale: float = 0.0
    """Deviation of the factor, about 1, by which a channel of a sequence is multiplied."""
    time_warp: float = 0.0
    """Deviation of the speed, about 1, at which a sequence is played; it changes along the sequence."""
    channel_drop: float = 0.0
    """Share of the channels of a sequence whose input is missing."""

    max_updates: int = 1000
    """Most updates of the weights. Twice as many bring the validation loss down by another quarter but find no more: on
    ECG and servers the error of the newest sample then told anomalies apart a little worse."""
    validate_every: int = 25
    """Updates between two validations."""
    patience: int = 10
    """Validations in a row without a better validation loss after which training stops."""
    seed: int = 1
    """The same seed gives the same weights, bit for bit, on one machine."""

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


def check_names(given: Collection[str], *, known: Collection[str], of: str) -> None:
    """Refuse a name that is not known.

    Raises: UsageError that says how it is called now, or names the nearest.
    """
    for name in sorted(set(given) - set(known)):
        if name in RENAMED:
            raise UsageError(f"{name} is called {RENAMED[name]} now")
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
        raise UsageError(f"{name}: not an option of {of}; {hint}")


def stored_options(stored: Mapping[str, Any]) -> TrainerOptions:
    """Return the options that a bundle or a file of this version or an earlier one keeps."""
    values = {RENAMED.get(name, name): value for name, value in stored.items()}
    return TrainerOptions(**values | {"cells": tuple(values.get("cells", ("lstm",)))})


def as_first_named(o: TrainerOptions) -> dict[str, Any]:
    """Return the options under the names of version 0.1.0, by which checkpoints and tables of trials are told apart."""
    first = {name: earlier for earlier, name in RENAMED.items()}
    return {first.get(name, name): value for name, value in asdict(o).items()}


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
