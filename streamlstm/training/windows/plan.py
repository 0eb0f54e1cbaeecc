"""The plan of a whole-window model: data split as for a causal one, and the window chosen if it is not given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import DataError, ShapeError, UsageError
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.standardizer import Standardizer
from streamlstm.model.windows.batch import without_holes
from streamlstm.model.windows.network import WindowArchitecture, WindowNetwork
from streamlstm.scoring.windows.errors import calibrate_windows, measured, width_for
from streamlstm.training.choices import choose_options
from streamlstm.training.options import WINDOW_OPTIONS, TrainerOptions, check_names, choose_cells
from streamlstm.training.plan import BundleLabels, Plan, split_data
from streamlstm.training.segments import Segment
from streamlstm.training.windows.trainable import WindowTraining

__all__ = ["WindowPlan", "make_window_plan"]

_LEAST_WINDOW = 8


@dataclass(frozen=True)
class WindowPlan(Plan[WindowNetwork, WindowBundle]):
    """A whole-window model's plan; `architecture` holds the window."""

    BUNDLE = WindowBundle

    architecture: WindowArchitecture

    @property
    def settings(self) -> dict[str, Any]:
        """Return the options that apply, those of the architecture first."""
        a = self.architecture
        shape = {"arrangement": a.arrangement, "window": a.rows, "hidden": a.hidden, "cells": a.cells}
        return shape | {name: value for name, value in asdict(self.options).items() if name in WINDOW_OPTIONS}

    @property
    def identity(self) -> dict[str, Any]:
        """Return the options, which hold the architecture's too."""
        return self.settings

    def trainable(self, *, frozen: Sequence[str] = ()) -> WindowTraining:
        """Return the network in training. Raises: UsageError when something is to be frozen."""
        if frozen:
            raise UsageError(f"freeze: expected nothing with {self.architecture.arrangement}, got {', '.join(frozen)}")
        training = self._segments([v[: self.cuts[key][0]] for key, v in self.series.items()])
        validation = self._segments([v[slice(*self.cuts[key])] for key, v in self.series.items()])
        return WindowTraining(training, validation, self.architecture, self.options)

    def bundle(self, network: WindowNetwork, labels: BundleLabels, training: dict[str, Any]) -> WindowBundle:
        """Calibrate on the last parts."""
        calibration = calibrate_windows(
            network,
            self.standardizer,
            [values[self.cuts[key][1] :] for key, values in self.series.items()],
            width=width_for(self.period_rows, self.architecture.rows),
        )
        return WindowBundle(
            network=network,
            standardizer=self.standardizer,
            calibration=calibration,
            channels=self.channels,
            training=training,
            **vars(labels),
        )

    def _segments(self, series: Sequence[NDArray[np.float32]]) -> list[Segment]:
        hole = self.architecture.hole
        parts = (v[begin:end] for v in series for begin, end in without_holes(np.isfinite(v), hole=hole))
        return [Segment(*measured(self.standardizer, part)) for part in parts]


def make_window_plan(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    arrangement: str,
    channels: Sequence[str] | None = None,
    window: int | None = None,
    hidden: int | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    **options: Any,
) -> WindowPlan:
    """Check and split the data, and choose what is not given.

    Units: window in rows. `arrangement` is bidirectional or encoder_decoder; `options` are those in `WINDOW_OPTIONS`,
    None where one is to be chosen.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for options that cannot be.
    """
    check_names(options, known=WINDOW_OPTIONS, of="whole-window models")
    data = split_data(values, channels=channels)
    given = {key: value for key, value in (options | {"hidden": hidden}).items() if value is not None}
    given |= {"forecast": 1, "reconstruct": 1}  # of causal networks only: given, so that nothing is said of them
    if cell is not None or layers is not None:
        given["cells"] = choose_cells(cell or "lstm", layers)

    def chosen(rows: int | None) -> tuple[TrainerOptions, list[str]]:
        return choose_options(
            rows=len(data.training_values),
            channels=len(data.channels),
            period_rows=data.period_rows,
            given=given if rows is None else given | {"bptt_steps": rows},  # gradients reach over the whole window
        )

    o, reasons = chosen(window)
    longest = max(len(v) - data.cuts[key][1] for key, v in data.series.items())  # of what is left to calibrate on
    if window is None and o.bptt_steps > longest // 2:
        o, reasons = chosen(max(longest // 2, _LEAST_WINDOW))
    elif window is not None and window // 2 > longest:
        raise DataError(
            f"window: expected at most {2 * longest} rows, twice the longest part that is left to calibrate on, "
            f"got {window}"
        )
    try:
        architecture = WindowArchitecture(arrangement, len(data.channels), o.hidden, o.cells, o.bptt_steps)
    except ShapeError as error:
        raise UsageError(str(error)) from error
    return WindowPlan(
        series=data.series,
        cuts=data.cuts,
        channels=data.channels,
        standardizer=Standardizer.fit(data.training_values),
        period_rows=data.period_rows,
        options=o,
        choices=(
            f"{arrangement}: scores whole windows of {architecture.rows} rows, recordings only",
            *data.notes,
            *reasons,
        ),
        architecture=architecture,
    )
