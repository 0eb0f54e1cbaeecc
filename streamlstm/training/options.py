"""What the trainer is told, and how it is chosen from the data where nobody says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from streamlstm.errors import ShapeError, UsageError
from streamlstm.model.network import Architecture

__all__ = ["TrainerOptions", "choose_cells", "choose_options"]

_WINDOW_OUTPUTS = 512
"""Most outputs k * C of the long head: four times as many as rows of a layer's gates at 32 units, beyond which the head
would cost more than the LSTM. A state of 32 cannot copy a tenth of that, so it has to model."""
_LEAST_WINDOW = 16
"""A state that must remember only a shorter period remembers too little: the window then holds several."""
_SHARE_AN_UPDATE = 0.25
"""Share of the data that one update sees at most: an epoch is several updates, and lanes run over several of them."""
_SMALL_ROWS = 4096
"""Training parts below this are learned by heart before the 400th update."""


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Sizes of the network and of its training. Time is counted in rows and updates, never in seconds."""

    hidden: int = 32
    cells: tuple[str, ...] = ("lstm",)
    """The cell of each layer, the lowest first."""
    projection: int = 0
    """Outputs of the layers of the LSTM kinds; 0 = all hidden units."""
    forecast: int = 16
    reconstruct: int = 128
    segment: int = 128
    """Rows a lane runs, and gradients reach back, at one update."""
    batch: int = 16
    """Lanes. In the same time, more updates of 16 lanes came to a lower loss than fewer of 32 or 64 (ECG, servers)."""
    stretch: int = 1024
    """Rows a lane runs over before its state starts again from zero."""
    burn_in: int = 16
    """First rows of a stretch, whose state has seen too little to be judged."""
    learning_rate: float = 2e-2
    """Peak of the schedule: linear for a twentieth, then half a cosine. 0.01 is slower, at 0.03 some seeds fail."""
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    max_updates: int = 1000
    """Twice as many bring the validation loss down by another quarter but find no more: on ECG and servers the error of
    the newest sample then told anomalies apart a little worse."""
    validate_every: int = 25
    """Updates between two looks at the validation part."""
    patience: int = 10
    """Looks in a row without a better validation loss after which training stops."""
    seed: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "cells":
                continue
            least = 0 if field.name in ("burn_in", "seed", "weight_decay", "projection") else 1
            if field.name in ("learning_rate", "clip_norm"):
                if not value > 0:
                    raise UsageError(f"{field.name}: expected a positive number, got {value!r}")
            elif not value >= least:
                raise UsageError(f"{field.name}: expected at least {least}, got {value!r}")
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


def choose_options(
    *, rows: int, channels: int, period_rows: int, given: Mapping[str, int | float | tuple[str, ...]]
) -> tuple[TrainerOptions, list[str]]:
    """Choose what is not given from the size of the training part, and say why, a sentence a choice.

    Units: rows of the training part, all streams together; period_rows in rows, 0 = none found.
    """
    said = []
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
        said.append(f"reconstructs the last {reconstruct} rows ({why})")
    if "forecast" not in given:
        said.append(f"forecasts the next {forecast} rows" + ("" if forecast == 16 else f" (a sixteenth of {rows:,})"))
    segment = max(min(128, rows // 4), 8)
    asked = given.get("max_updates")
    max_updates = asked if isinstance(asked, int) else 1000 if rows >= _SMALL_ROWS else 400
    chosen: dict[str, int | float | tuple[str, ...]] = {
        "reconstruct": reconstruct,
        "forecast": forecast,
        "segment": segment,
        "batch": max(min(16, int(rows * _SHARE_AN_UPDATE) // segment), 4),
        "burn_in": min(16, rows // 32),
        "max_updates": max_updates,
        "validate_every": max(max_updates // 40, 1),  # so patience is a quarter of the schedule
    }
    options = TrainerOptions(**(chosen | dict(given)))  # type: ignore[arg-type]
    said.append(
        f"trains at most {options.max_updates:,} updates of {options.batch} lanes x {options.segment} rows "
        f"({options.batch * options.segment / max(rows, 1):.0%} of the training part an update)"
    )
    return options, said
