"""Options that nobody gave, chosen from the size of the data, each with a sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlstm.training.options import TrainerOptions

__all__ = ["choose_options"]

_WINDOW_OUTPUTS = 512
"""Most outputs k * C of the long head: four times as many as rows of a layer's gates at 32 units, beyond which the head
would cost more than the LSTM. A state of 32 cannot copy a tenth of that, so it has to model."""
_LEAST_WINDOW = 16
"""A state that must remember only a shorter period remembers too little: the window then holds several."""
_SHARE_AN_UPDATE = 0.25
"""Share of the data that one update sees at most: an epoch is several updates, and sequences are longer."""
_SMALL_ROWS = 4096
"""Training parts below this are learned by heart before the 400th update."""
_SGD_RATE = 1.0
"""Of sgd: the loss is a mean over all outputs, so gradients are small. (0.3 to 3 end alike on ECG and servers, 0.02 far
above; none comes near adamw in as many updates.)"""
_FINE_TUNING_RATE = 5e-3
"""Peak of the learning rate where weights are given: what they know is not to be forgotten in the warm-up."""


def choose_options(
    *, rows: int, channels: int, period_rows: int, given: Mapping[str, Any], is_tuned: bool = False
) -> tuple[TrainerOptions, list[str]]:
    """Choose what is not given from the size of the training part, and say why, a sentence a choice.

    Units: rows of the training part, all streams together; period_rows in rows, 0 = none found. `is_tuned` where
    training starts from weights that have learned already.
    """
    notes = []
    outputs = max(_WINDOW_OUTPUTS // channels, 2)
    bounds = [
        (128, "the most that pays"),
        (outputs, f"with {channels} channels {outputs * channels} outputs"),
        (max(rows // 8, 2), f"an eighth of {rows:,} rows"),
    ]
    if period_rows:
        bounds.append((max(period_rows, _LEAST_WINDOW), f"the period is {period_rows} rows"))
    reconstruct, why = min(bounds)
    forecast = min(16, max(rows // 16, 1))
    if "reconstruct" not in given:
        notes.append(f"reconstructs the last {reconstruct} rows ({why})")
    if "forecast" not in given:
        notes.append(f"forecasts the next {forecast} rows" + ("" if forecast == 16 else f" (a sixteenth of {rows:,})"))
    if "hidden" not in given:
        notes.append(
            f"{TrainerOptions().hidden} hidden units (more units fit more closely, but tell anomalies apart less well)"
        )
    steps = max(min(128, rows // 4), 8)
    asked = given.get("max_updates")
    max_updates = asked if isinstance(asked, int) else 1000 if rows >= _SMALL_ROWS else 400
    chosen: dict[str, Any] = {
        "reconstruct": reconstruct,
        "forecast": forecast,
        "bptt_steps": steps,
        "batch": max(min(16, int(rows * _SHARE_AN_UPDATE) // steps), 4),
        "burn_in": min(16, rows // 32),
        "max_updates": max_updates,
        "validate_every": max(max_updates // 40, 1),  # so patience is a quarter of the schedule
    }
    if given.get("optimizer") == "sgd":
        chosen["learning_rate"] = _SGD_RATE
    elif is_tuned:
        chosen["learning_rate"] = _FINE_TUNING_RATE
    options = TrainerOptions(**(chosen | dict(given)))
    notes.append(
        f"trains at most {options.max_updates:,} updates of {options.batch} sequences x {options.bptt_steps} rows "
        f"({options.batch * options.bptt_steps / max(rows, 1):.0%} of the training part for each update)"
    )
    return options, notes
