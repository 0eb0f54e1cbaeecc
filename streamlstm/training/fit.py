"""`train`: from recorded values to a model bundle.

1. Each stream is split by time: training, then validation, then calibration. Nothing is fitted on what comes after it.
2. The standardizer is fitted on the training parts alone.
3. The network is trained on them with carried state, and stops early on the validation parts.
4. Residual scales and tails are calibrated on the third parts, which neither has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.calibration import CalibrationSeries, calibrate
from streamlstm.training.plan import Plan, fingerprint, make_plan
from streamlstm.training.segments import Segment, standardized_segment
from streamlstm.training.trainer import FitResult, TrainingProgress, ValidationPoint, fit_network

__all__ = ["Training", "fit_plan", "run_plan", "train", "training_metadata"]


@dataclass(frozen=True)
class Training:
    """A plan, the bundle it led to, and how training went."""

    plan: Plan
    bundle: ModelBundle
    fit: FitResult


def train(
    values: ArrayLike | Mapping[str, ArrayLike],
    *,
    period_s: float = 0.0,
    channels: Sequence[str] | None = None,
    units: Sequence[str] = (),
    name: str = "model",
    version: int = 1,
    created_at: str = "",
    start: ModelBundle | None = None,
    frozen: Sequence[str] = (),
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_choice: Callable[[str], None] | None = None,
    **options: Any,
) -> ModelBundle:
    """Train one model on one stream or on many.

    Shapes: values float [T, C], NaN = missing, or {stream id: such an array}; rows in time order, `period_s` apart.
    Units: period_s in seconds, 0 = unknown. `options` are those of `make_plan`. `start` is fine-tuned, the layers named
    in `frozen` left as they are.
    State: the arguments alone decide the result: the same seed gives the same bundle, bit for bit, on one machine.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for options that cannot be.
    """
    plan = make_plan(values, channels=channels, start=start, **options)
    for sentence in plan.choices:
        if on_choice is not None:
            on_choice(sentence)
    training = run_plan(
        plan,
        period_s=period_s,
        units=units,
        name=name,
        version=version,
        created_at=created_at,
        frozen=frozen,
        on_progress=on_progress,
    )
    return training.bundle


def run_plan(
    plan: Plan,
    *,
    period_s: float = 0.0,
    units: Sequence[str] = (),
    name: str = "model",
    version: int = 1,
    created_at: str = "",
    frozen: Sequence[str] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_validation: Callable[[ValidationPoint], None] | None = None,
) -> Training:
    """Train as planned, and calibrate.

    `checkpoint` is a file that is written at every validation; with `resume` training goes on from it, if it is there,
    to the same bits as if it had never stopped.
    Raises: DataError when the loss is no longer a number, or the checkpoint is of another training.
    """
    fit = fit_plan(
        plan, frozen=frozen, checkpoint=checkpoint, resume=resume, on_progress=on_progress, on_validation=on_validation
    )
    calibration = calibrate(
        fit.network,
        plan.standardizer,
        [CalibrationSeries(v, plan.cuts[key][1]) for key, v in plan.series.items()],
        period_rows=plan.period_rows,
    )
    bundle = ModelBundle(
        network=fit.network,
        standardizer=plan.standardizer,
        calibration=calibration,
        channels=plan.channels,
        units=tuple(units),
        period_s=float(period_s),
        name=name,
        version=version,
        created_at=created_at,
        training=training_metadata(plan, updates=fit.updates, validation_loss=fit.best_validation_loss)
        | {"options": asdict(plan.options)}
        | ({"start": plan.start.label, "frozen": list(frozen)} if plan.start else {}),
    )
    return Training(plan, bundle, fit)


def fit_plan(
    plan: Plan,
    *,
    frozen: Sequence[str] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_validation: Callable[[ValidationPoint], None] | None = None,
) -> FitResult:
    """Train as planned, judged by the validation parts; the rows that are to calibrate are not looked at.

    Raises: as `run_plan`.
    """
    training, validation = [], []
    for key, v in plan.series.items():
        first, second = plan.cuts[key]
        segment = standardized_segment(plan.standardizer, v[:second])
        training.append(Segment(segment.x[:first], segment.observed[:first]))
        validation.append(Segment(segment.x[first:], segment.observed[first:]))
    return fit_network(
        training,
        validation,
        plan.options,
        start=plan.start.network if plan.start else None,
        frozen=frozen,
        checkpoint=checkpoint,
        resume=resume,
        progress=on_progress,
        on_validation=on_validation,
    )


def training_metadata(plan: Plan, *, updates: int, validation_loss: float) -> dict[str, Any]:
    """Return what a bundle says of its training."""
    return {
        "rows": sum(map(len, plan.series.values())),
        "streams": len(plan.series),
        "fingerprint": fingerprint(plan.series),
        "period_rows": plan.period_rows,
        "updates": updates,
        "validation_loss": validation_loss,
    }
