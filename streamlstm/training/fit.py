"""`train`: from recorded values to a model bundle.

1. Each stream is split by time: training, then validation, then calibration. Nothing is fitted on what comes after it.
2. The standardizer is fitted on the training parts alone.
3. The network is trained on them, and stops early on the validation parts.
4. Residual scales and tails are calibrated on the third parts, which neither has seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Never, TypeVar

from numpy.typing import ArrayLike

from streamlstm.model.bundles.base import BundleBase
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.channels import ChannelDeclaration
from streamlstm.training.causal.plan import make_plan
from streamlstm.training.options import Loss, Optimizer, Schedule, check_names
from streamlstm.training.plan import BundleLabels, Plan
from streamlstm.training.trainer import FitResult, TrainingProgress, ValidationPoint, fit

__all__ = ["Training", "run_plan", "train"]

N = TypeVar("N")
B = TypeVar("B", bound=BundleBase)


@dataclass(frozen=True)
class Training(Generic[N, B]):
    """A plan, the bundle it led to, and how training went."""

    plan: Plan[N, B]
    bundle: B
    fit: FitResult[N]


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
    declared: Mapping[str, ChannelDeclaration] | None = None,
    frozen: Sequence[str] = (),
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_choice: Callable[[str], None] | None = None,
    cell: str | Sequence[str] | None = None,
    layers: int | None = None,
    hidden: int | None = None,
    cells: Sequence[str] | None = None,
    projection: int | None = None,
    mask_inputs: bool | None = None,
    forecast: int | None = None,
    reconstruct: int | None = None,
    bptt_steps: int | None = None,
    batch: int | None = None,
    reset_every: int | None = None,
    burn_in: int | None = None,
    loss: Loss | None = None,
    huber_delta: float | None = None,
    trim: float | None = None,
    optimizer: Optimizer | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = None,
    schedule: Schedule | None = None,
    dropout: float | None = None,
    recurrent_dropout: float | None = None,
    jitter: float | None = None,
    scale: float | None = None,
    time_warp: float | None = None,
    channel_drop: float | None = None,
    max_updates: int | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    seed: int | None = None,
    **unknown: Never,
) -> ModelBundle:
    """Train one causal model on one stream or on many.

    Shapes: values float [T, C], NaN = missing, or {stream id: such an array}; rows in time order, `period_s` apart.
    Units: period_s in seconds, 0 = unknown.
    `declared` says by name of channels which are input only, which deviations count, and which range they keep to.
    `start` is a bundle to train on from, the layers named in `frozen` left as they are. `on_progress` is told of every
    update, `on_choice` a sentence about each option that was chosen from the data, as those are that are not given.
    State: the arguments alone decide the result: the same seed gives the same bundle, bit for bit, on one machine.
    Raises: DataError when there are too few rows, or no numbers at all; UsageError for options that cannot be.

    Options: those that are not given are chosen from the data.
        cell: lstm, peephole, gru, gru_reset_before or rnn; one for all layers, or one for each, comma separated.
        layers: How many; 1, or as many as cells.
        hidden: Hidden units of each layer.
        cells: The cell of each layer, the lowest first.
        projection: Outputs of the layers of the LSTM kinds; 0 = all hidden units.
        mask_inputs: The network is also told which values were observed: one input more a channel.
        forecast: Samples ahead that are forecast.
        reconstruct: Samples back that are rebuilt.
        bptt_steps: Rows that a sequence moves on, and gradients reach back, at one update.
        batch: Sequences side by side. In the same time, more updates of 16 came to a lower loss than fewer of 32 or 64
            (ECG, servers).
        reset_every: Rows of a sequence: state is carried over them from update to update, then starts again from zero.
            As many as bptt_steps: no state is carried, and burn-in alone prepares it.
        burn_in: First rows of a sequence, whose state has seen too little to be judged.
        loss: mse, huber or gaussian. huber grows linearly beyond `huber_delta`; gaussian learns a variance beside each
            output and weighs errors by it.
        huber_delta: In deviations of a channel.
        trim: Share of the rows of an update, those of the largest loss, that are left out: the data may hold anomalies.
        optimizer: adamw or sgd.
        learning_rate: Peak of the schedule. 0.01 is slower, at 0.03 some seeds fail.
        momentum: Of sgd.
        weight_decay: Share that an update takes off the weights, times the learning rate. (sgd adds it to the gradient
            instead.)
        clip_norm: Most that the gradient's Euclidean norm may be; it is scaled down to it.
        schedule: cosine, one_cycle, plateau or constant: how the learning rate changes.
        dropout: Share of a layer's outputs that the layer above does not see, drawn anew for each row.
        recurrent_dropout: Share of a layer's outputs that it does not see of itself, the same at all rows of an update.
        jitter: Deviation of noise added to the inputs, not to what they are compared with.
        scale: Deviation of the factor, about 1, by which a channel of a sequence is multiplied.
        time_warp: Deviation of the speed, about 1, at which a sequence is played; it changes along the sequence.
        channel_drop: Share of the channels of a sequence whose input is missing.
        max_updates: Most updates of the weights. Twice as many bring the validation loss down by another quarter but
            find no more: on ECG and servers the error of the newest sample then told anomalies apart a little worse.
        validate_every: Updates between two validations.
        patience: Validations in a row without a better validation loss after which training stops.
        seed: The same seed gives the same weights, bit for bit, on one machine.
    """
    given = {key: value for key, value in locals().items() if key in _OPTIONS}  # so that no name is written twice
    check_names(unknown, known=_PARAMETERS, of="train")
    plan = make_plan(values, channels=channels, start=start, declared=declared, **given)
    for sentence in plan.choices:
        if on_choice is not None:
            on_choice(sentence)
    labels = BundleLabels(float(period_s), tuple(units), name, version, created_at)
    return run_plan(plan, labels, frozen=frozen, on_progress=on_progress).bundle


_PARAMETERS = tuple(inspect.signature(train).parameters)[:-1]
_OPTIONS = frozenset(_PARAMETERS[_PARAMETERS.index("cell") :])
"""What `make_plan` is given besides: `cell` and what follows it."""


def run_plan(
    plan: Plan[N, B],
    labels: BundleLabels,
    *,
    frozen: Sequence[str] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_validation: Callable[[ValidationPoint], None] | None = None,
) -> Training[N, B]:
    """Train as planned, and calibrate; the other arguments are those of the trainer's `fit`.

    Raises: DataError when the gradient is no longer a number, or the checkpoint is of another training.
    """
    result = fit(
        plan.trainable(frozen=frozen),
        checkpoint=checkpoint,
        resume=resume,
        on_progress=on_progress,
        on_validation=on_validation,
    )
    training = plan.metadata(updates=result.updates, validation_loss=result.best_validation_loss, frozen=frozen)
    return Training(plan, plan.bundle(result.network, labels, training), result)
