"""The last step of a training: what the model finds is measured, and kept in its bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streamlstm.evaluation.power.measuring import measure_power
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.training.causal.plan import CausalPlan

__all__ = ["with_power"]


def with_power(
    bundle: ModelBundle, plan: CausalPlan, *, updates: int, on_progress: Callable[[int, int], None] | None = None
) -> ModelBundle:
    """Return the bundle with its power among what it says of its training; as it is where the data are too few."""
    options = plan.options
    power = measure_power(
        bundle,
        plan.series,
        {key: second for key, (_, second) in plan.cuts.items()},
        trained_rows=updates * options.batch * options.bptt_steps,
        on_progress=on_progress,
    )
    return bundle if power is None else replace(bundle, training=power.within(bundle.training))
