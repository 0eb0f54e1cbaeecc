"""`train_window_model`: from recorded values to the bundle of a whole-window model, split by time as for `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from numpy.typing import ArrayLike

from streamlstm.model.bundles.window import WindowBundle
from streamlstm.training.fit import run_plan
from streamlstm.training.plan import BundleLabels
from streamlstm.training.trainer import TrainingProgress
from streamlstm.training.windows.plan import make_window_plan

__all__ = ["train_window_model"]


def train_window_model(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    arrangement: str,
    period_s: float = 0.0,
    channels: Sequence[str] | None = None,
    units: Sequence[str] = (),
    name: str = "model",
    version: int = 1,
    created_at: str = "",
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_choice: Callable[[str], None] | None = None,
    window: int | None = None,
    hidden: int | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    max_updates: int | None = None,
    seed: int | None = None,
) -> WindowBundle:
    """Train one whole-window model on one stream or on many; values, channels and the like as for `train`.

    Units: window in rows. `arrangement` is bidirectional or encoder_decoder. What is not given is chosen from the data,
    and `on_choice` is told a sentence about each choice. `make_window_plan` takes more options than these.
    State: the arguments alone decide the result, bit for bit, on one machine.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for sizes that cannot be.
    """
    plan = make_window_plan(
        values,
        arrangement=arrangement,
        channels=channels,
        window=window,
        hidden=hidden,
        cell=cell,
        layers=layers,
        max_updates=max_updates,
        seed=seed,
    )
    for sentence in plan.choices:
        if on_choice is not None:
            on_choice(sentence)
    labels = BundleLabels(float(period_s), tuple(units), name, version, created_at)
    return run_plan(plan, labels, on_progress=on_progress).bundle
