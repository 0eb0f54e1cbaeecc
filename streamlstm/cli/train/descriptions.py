"""What `train` says of its data, of a training that would be made (`--dry-run`), and of a model that was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from streamlstm.jobs.estimate import MEASURED_UPDATES, Sizes, measure_cost, sizes_of
from streamlstm.jobs.training import AnyPlan, TrainingOptions, TrainingOutcome
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.recordings.series import Series
from streamlstm.training.causal.plan import CausalPlan
from streamlstm.training.windows.plan import WindowPlan

__all__ = ["brief_lines", "data_line", "outcome_line", "plan_lines"]

_STREAMS_LISTED = 8
_CHANNELS_LISTED = 6


def data_line(series: Sequence[Series]) -> str:
    """Return in a line what the data is."""
    channels = series[0].channels
    rows = sum(len(one.values) for one in series)
    missing = sum(int(np.isnan(one.values).sum()) for one in series) / max(rows * len(channels), 1)
    periods = sorted(one.period_s for one in series)
    apart = f"{periods[0]:g} s apart"
    if periods[-1] > 1.01 * periods[0]:
        apart = f"{periods[0]:g} to {periods[-1]:g} s apart (the first stream's {series[0].period_s:g} s count)"
    listed = ", ".join(channels[:_CHANNELS_LISTED]) + (", …" if len(channels) > _CHANNELS_LISTED else "")
    parts = [
        f"{len({one.source for one in series})} file(s)",
        f"{len(series)} stream(s)",
        f"{rows:,} rows {apart}",
        f"{len(channels)} channel(s): {listed}",
        f"{missing:.1%} missing" if missing else "nothing missing",
    ]
    return "; ".join(parts)


def outcome_line(outcome: TrainingOutcome) -> str:
    """Return in a line what was trained."""
    bundle = outcome.bundle
    arrangement = f", {bundle.network.architecture.arrangement}" if isinstance(bundle, WindowBundle) else ""
    return (
        f"{outcome.files[0]}: {bundle.label}{arrangement}, {len(bundle.channels)} channels, trained on "
        f"{outcome.rows:,} rows of {outcome.streams} stream(s) in {outcome.seconds:.1f} s; {outcome.updates} updates, "
        f"validation loss {outcome.validation_loss:.4f}"
    )


def plan_lines(job: TrainingOptions) -> Iterator[str]:
    """Yield what training would be made of; before the last lines, a few updates of it are measured."""
    for subject, detail in _subjects(job, job.plan()):
        yield f"{subject:<12}{detail}"


def brief_lines(jobs: Sequence[TrainingOptions]) -> Iterator[str]:
    """Yield a line for each model, then the time of all."""
    total = 0.0
    for job in jobs:
        plan = job.plan()
        seconds = measure_cost(plan, job.frozen).seconds * (1 if job.search is None else 1 + job.search.trials)
        total += seconds
        rows = sum(map(len, plan.series.values()))
        model = f"{_network(plan)}; at most {_duration(seconds)}"
        yield f"{job.group.name}: {len(plan.series)} stream(s), {rows:,} rows; {model}"
    yield f"{len(jobs)} models, at most {total:,.0f} s together"


def _subjects(job: TrainingOptions, plan: AnyPlan) -> Iterator[tuple[str, str]]:
    sizes = sizes_of(plan, job.frozen)
    for key, values in list(plan.series.items())[:_STREAMS_LISTED]:
        missing = float(np.isnan(values).mean())
        yield "stream", f"{key}: {len(values):,} rows" + (f", {missing:.1%} missing" if missing else "")
    if len(plan.series) > _STREAMS_LISTED:
        yield "", f"… and {len(plan.series) - _STREAMS_LISTED} more"
    yield "channels", ", ".join(plan.channels)
    yield "every", f"{job.period_s:g} s" if job.period_s else "unknown"
    yield (
        "split",
        f"{sizes.training_rows:,} rows to train on, {sizes.validation_rows:,} to validate, "
        f"{sizes.calibration_rows:,} to calibrate, in this order",
    )
    for sentence in plan.choices:
        yield "chosen", sentence
    yield from _layers(plan, sizes)
    still = f", {sizes.frozen_parameters:,} of them frozen" if job.frozen else ""
    yield "parameters", f"{sizes.parameters:,} in training{still}; {sizes.bundle_parameters:,} in the bundle"
    cost = measure_cost(plan, job.frozen)
    yield "memory", f"{cost.memory_bytes / 2**20:,.0f} MiB, with the data (measured)"
    yield (
        "time",
        f"at most {_duration(cost.seconds)} for {plan.options.max_updates:,} updates (measured on {MEASURED_UPDATES})",
    )
    if job.search is not None:
        trials = job.search.trials
        yield "tune", f"{trials} trials before that, at most {_duration(trials * cost.seconds)} at these sizes"


def _network(plan: AnyPlan) -> str:
    o = plan.options
    kind = f"{', '.join(dict.fromkeys(o.cells))} of {o.hidden}"
    if isinstance(plan, WindowPlan):
        return f"{plan.architecture.arrangement} {kind}, windows of {plan.architecture.rows}"
    return f"{kind}, reconstructs {o.reconstruct}, forecasts {o.forecast}"


def _layers(plan: AnyPlan, sizes: Sizes) -> Iterator[tuple[str, str]]:
    """Yield what a batch is, and every layer."""
    o = plan.options
    head = f"{sizes.head_inputs} inputs, {sizes.head_outputs:,} outputs"
    if isinstance(plan, WindowPlan):
        w = plan.architecture
        yield "batch", f"{w.rows} rows x {o.batch} windows x {w.layers[0][2]} inputs an update"
        for name, cell, inputs in w.layers:
            yield "layer", f"{name}: {cell}, {inputs} inputs, {w.hidden} hidden units"
        yield "head", head
    elif isinstance(plan, CausalPlan):
        a = plan.architecture
        yield "batch", f"{o.bptt_steps} rows x {o.batch} sequences x {a.inputs[0]} inputs an update"
        for index, (cell, inputs, outputs) in enumerate(zip(a.cells, a.inputs, a.outputs, strict=True)):
            yield f"layers.{index}", f"{cell}: {inputs} inputs, {a.hidden} hidden units, {outputs} outputs"
        yield "head", f"{head} in training, {a.head_outputs:,} of them in the bundle"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
