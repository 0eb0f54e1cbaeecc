"""What a training would take that is not made: its sizes, and the memory and time of a few updates."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streamlstm.kernels import CELL_FIELDS
from streamlstm.training.plan import Plan
from streamlstm.training.trainer import TrainingProgress, fit

__all__ = ["MEASURED_UPDATES", "Cost", "Sizes", "measure_cost", "sizes_of"]

MEASURED_UPDATES = 6


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and parameters of a plan. In training the head has outputs that the bundle's goes without."""

    training_rows: int
    validation_rows: int
    calibration_rows: int
    parameters: int
    frozen_parameters: int
    bundle_parameters: int
    head_inputs: int
    head_outputs: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the whole training takes at most: seconds, and the memory of this process with the data."""

    seconds: float
    memory_bytes: int


def sizes_of(plan: Plan[Any, Any], frozen: Sequence[str]) -> Sizes:
    """Count rows and parameters."""
    trainable = plan.trainable(frozen=frozen)
    head_outputs, head_inputs = trainable.parameters["head.weight"].shape
    sizes = {name: array.size for name, array in trainable.parameters.items()}
    network = trainable.network(trainable.parameters)
    kept = [getattr(layer, name) for layer in network.layers for name in CELL_FIELDS]
    kept += [network.head_weight, network.head_bias]
    cuts = [(*plan.cuts[key], len(values)) for key, values in plan.series.items()]
    return Sizes(
        training_rows=sum(first for first, _, _ in cuts),
        validation_rows=sum(second - first for first, second, _ in cuts),
        calibration_rows=sum(end - second for _, second, end in cuts),
        parameters=sum(sizes.values()),
        frozen_parameters=sum(sizes.values()) - sum(sizes[name] for name in trainable.trained),
        bundle_parameters=sum(array.size for array in kept if array is not None),
        head_inputs=head_inputs,
        head_outputs=head_outputs,
    )


def measure_cost(plan: Plan[Any, Any], frozen: Sequence[str]) -> Cost:
    """Make a few updates on this machine, and reckon from them what all updates and validations take."""
    of = MEASURED_UPDATES
    o = replace(plan.options, max_updates=of, validate_every=of)
    told_at: list[float] = []

    def on_progress(_at: TrainingProgress) -> None:
        told_at.append(time.perf_counter())

    began = time.perf_counter()
    fit(replace(plan, options=o).trainable(frozen=frozen), on_progress=on_progress)
    an_update = float(np.median(np.diff(told_at)[:-1]))  # the last one holds the validation
    a_validation = max(told_at[-1] - told_at[-2] - an_update, 0.0)
    set_up = max(told_at[0] - began - an_update, 0.0)
    asked = plan.options
    validations = -(-asked.max_updates // asked.validate_every)
    seconds = set_up + an_update * asked.max_updates + a_validation * validations
    return Cost(seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
