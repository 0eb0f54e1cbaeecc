"""The options' defaults, the least and the most that each may be, and the cells of the layers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from streamlstm.errors import UsageError
from streamlstm.training.options import RENAMED, TrainerOptions, as_first_named, choose_cells, stored_options

DEFAULTS: dict[str, Any] = {
    "hidden": 32, "cells": ("lstm",), "projection": 0, "mask_inputs": False, "forecast": 16, "reconstruct": 128,
    "bptt_steps": 128, "batch": 16, "reset_every": 1024, "burn_in": 16,
    "loss": "mse", "huber_delta": 1.0, "trim": 0.0, "optimizer": "adamw", "learning_rate": 0.02, "momentum": 0.9,
    "weight_decay": 0.01, "clip_norm": 1.0, "schedule": "cosine",
    "dropout": 0.0, "recurrent_dropout": 0.0, "jitter": 0.0, "scale": 0.0, "time_warp": 0.0, "channel_drop": 0.0,
    "max_updates": 1000, "validate_every": 25, "patience": 10, "seed": 1,
}  # fmt: skip
COUNTS = ("forecast", "reconstruct", "bptt_steps", "batch", "reset_every", "max_updates", "validate_every", "patience")
SHARES = ("momentum", "dropout", "recurrent_dropout", "trim", "channel_drop")
FROM_ZERO = ("weight_decay", "jitter", "scale", "time_warp")
ABOVE_ZERO = ("learning_rate", "clip_norm", "huber_delta")


def test_defaults() -> None:
    assert asdict(TrainerOptions()) == DEFAULTS


@pytest.mark.parametrize(
    ("names", "allowed", "refused"),
    [
        (COUNTS, (1, 7), (0, -1, 1.5)),
        (("burn_in", "seed"), (0, 1), (-1, 0.5)),
        (SHARES, (0, 0.0, 0.999), (-0.001, 1, 1.0, 2)),
        (FROM_ZERO, (0, 0.001, 3), (-0.001, float("inf"), float("nan"))),
        (ABOVE_ZERO, (0.001, 1, 3.5), (0, 0.0, -1, float("inf"), float("nan"))),
    ],
    ids=["counts", "from zero, whole", "shares", "from zero", "above zero"],
)
def test_bounds(names: tuple[str, ...], allowed: tuple[Any, ...], refused: tuple[Any, ...]) -> None:
    for name in names:
        for value in allowed:
            assert getattr(TrainerOptions(**{name: value}), name) == value
        for value in (*refused, True, "1", None):
            with pytest.raises(UsageError, match=f"{name}: expected"):
                TrainerOptions(**{name: value})


def test_names_and_truths() -> None:
    for name, value in (("loss", "mae"), ("optimizer", "adam"), ("schedule", "linear"), ("mask_inputs", 1)):
        with pytest.raises(UsageError, match=f"{name}: expected"):
            TrainerOptions(**{name: value})  # type: ignore[arg-type]  # that is what is refused
    assert TrainerOptions(mask_inputs=True, hidden=3, projection=2).projection == 2


def test_a_cell_is_that_of_all_layers_or_one_each() -> None:
    assert choose_cells("gru", None) == choose_cells(["gru"], 1) == ("gru",)
    assert choose_cells("gru", 3) == ("gru",) * 3
    assert choose_cells("rnn, lstm", None) == choose_cells(["rnn", "lstm"], 2) == ("rnn", "lstm")
    for layers in (1, 3):
        with pytest.raises(UsageError, match=rf"expected one name, or {layers} for {layers} layer\(s\), got 2"):
            choose_cells("rnn,lstm", layers)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cells": ("lstm", "elman")}, "cells: expected lstm, .*rnn, got 'elman'"),
        ({"cells": ("",)}, "got ''"),
        ({"cells": ("rnn",) * 17}, "cells: expected 1 to 16, one a layer, got 17"),
        ({"cells": ("gru", "rnn"), "projection": 4}, "projection: expected an LSTM layer to project, got gru, rnn"),
        ({"projection": 32}, "projection: expected 0 to 31"),
        ({"projection": -1}, "projection: expected at least 0"),
    ],
)
def test_cells_and_projections_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainerOptions(**wrong)


def test_first_names_are_those_of_the_first_version() -> None:
    first = as_first_named(TrainerOptions(bptt_steps=9, reset_every=27))
    assert (first["segment"], first["stretch"]) == (9, 27)
    assert len(first) == len(DEFAULTS) and not first.keys() & RENAMED.values()
    assert stored_options(first) == TrainerOptions(bptt_steps=9, reset_every=27)
    assert stored_options({"hidden": 3}) == TrainerOptions(hidden=3)
