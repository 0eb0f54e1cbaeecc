"""`train --dry-run`: data, shapes, parameters, memory and time of a training that is not made."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from streamlstm.cli.console.output import say
from streamlstm.config.training import Tune
from streamlstm.training.fit import fit_plan
from streamlstm.training.parameters import initial_parameters, trained_names
from streamlstm.training.plan import Plan
from streamlstm.training.trainer import TrainingProgress

__all__ = ["describe_briefly", "describe_plan"]

_MEASURED_UPDATES = 6
_LISTED = 8


def describe_plan(plan: Plan, *, period_s: float, frozen: Sequence[str], tune: Tune | None) -> None:
    """Say what training would be made of, and measure a few updates of it on this machine. Writes nothing."""
    for subject, detail in _lines(plan, period_s, frozen, tune):
        say(f"{subject:<12}{detail}")


def describe_briefly(name: str, plan: Plan, *, frozen: Sequence[str], tune: Tune | None) -> float:
    """Say the same in a line, and return the seconds that training takes at most."""
    seconds = _measure(plan, frozen) * (1 if tune is None else 1 + tune.trials)
    rows, a = sum(map(len, plan.series.values())), plan.architecture
    kind = ", ".join(dict.fromkeys(a.cells))
    heads = f"reconstructs {a.reconstruct}, forecasts {a.forecast}"
    said = f"{len(plan.series)} stream(s), {rows:,} rows; {kind} of {a.hidden}, {heads}; at most {_duration(seconds)}"
    say(f"{name}: {said}")
    return seconds


def _lines(plan: Plan, period_s: float, frozen: Sequence[str], tune: Tune | None) -> Iterator[tuple[str, str]]:
    o, a = plan.options, plan.architecture
    parameters = initial_parameters(a, np.random.default_rng(0), has_spread=o.loss == "gaussian")
    rows = [sum(counts) for counts in zip(*_split(plan), strict=True)]
    for key, values in list(plan.series.items())[:_LISTED]:
        missing = float(np.isnan(values).mean())
        yield "stream", f"{key}: {len(values):,} rows" + (f", {missing:.1%} missing" if missing else "")
    if len(plan.series) > _LISTED:
        yield "", f"… and {len(plan.series) - _LISTED} more"
    yield "channels", ", ".join(plan.channels)
    yield "every", f"{period_s:g} s" if period_s else "unknown"
    yield "split", f"{rows[0]:,} rows to train on, {rows[1]:,} to validate, {rows[2]:,} to calibrate, in this order"
    for sentence in plan.choices:
        yield "chosen", sentence
    yield "batch", f"{o.segment} rows x {o.batch} lanes x {a.inputs[0]} inputs an update"
    for index, (cell, inputs, outputs) in enumerate(zip(a.cells, a.inputs, a.outputs, strict=True)):
        yield f"layers.{index}", f"{cell}: {inputs} inputs, {a.hidden} hidden units, {outputs} outputs"
    width = parameters["head.weight"].shape
    yield "head", f"{width[1]} inputs, {width[0]:,} outputs in training, {a.head_outputs:,} of them in the bundle"
    sizes = {name: array.size for name, array in parameters.items()}
    trained = sum(sizes[name] for name in trained_names(parameters, frozen))
    kept = sum(size for name, size in sizes.items() if name.startswith("layers"))
    kept += a.head_outputs * (a.outputs[-1] + 1)
    still = f", {sum(sizes.values()) - trained:,} of them frozen" if frozen else ""
    yield "parameters", f"{sum(sizes.values()):,} in training{still}; {kept:,} in the bundle"
    seconds = _measure(plan, frozen)
    yield "memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB, with the data (measured)"
    yield "time", f"at most {_duration(seconds)} for {o.max_updates:,} updates (measured on {_MEASURED_UPDATES})"
    if tune is not None:
        yield "tune", f"{tune.trials} trials before that, at most {_duration(tune.trials * seconds)} at these sizes"


def _split(plan: Plan) -> list[tuple[int, int, int]]:
    cuts = [(*plan.cuts[key], len(values)) for key, values in plan.series.items()]
    return [(first, second - first, end - second) for first, second, end in cuts]


def _measure(plan: Plan, frozen: Sequence[str]) -> float:
    """Return the seconds that all updates take, and the validations between them."""
    of = _MEASURED_UPDATES
    o = replace(plan.options, max_updates=of, validate_every=of)
    told_at: list[float] = []

    def on_progress(_at: TrainingProgress) -> None:
        told_at.append(time.perf_counter())

    began = time.perf_counter()
    fit_plan(replace(plan, options=o), frozen=frozen, on_progress=on_progress)
    an_update = float(np.median(np.diff(told_at)[:-1]))  # the last one holds the validation
    a_look = max(told_at[-1] - told_at[-2] - an_update, 0.0)
    set_up = max(told_at[0] - began - an_update, 0.0)
    asked = plan.options
    return set_up + an_update * asked.max_updates + a_look * -(-asked.max_updates // asked.validate_every)


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
