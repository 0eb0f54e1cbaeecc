"""The loop over a scripted trainable: what is shown of losses, speed and the time left, and what a gradient may be."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from streamlstm.errors import DataError
from streamlstm.training import trainer
from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters
from streamlstm.training.trainable import BatchGradients, TrainableState, TrainingIdentity
from streamlstm.training.trainer import TrainingProgress, fit


@dataclass
class Scripted:
    """Losses as given, a gradient of ones, and a validation loss that is the weight."""

    losses: list[float]
    options: TrainerOptions
    gradient: float = 1.0
    parameters: Parameters = field(default_factory=lambda: {"w": np.full(2, 9, np.float32)})
    trained: tuple[str, ...] = ("w",)
    identity: TrainingIdentity = field(default_factory=lambda: TrainingIdentity("scripted", "scripted"))
    updates: int = 0

    @property
    def epochs(self) -> int:
        return self.updates // 2

    def differentiate(self) -> BatchGradients:
        self.updates += 1
        return BatchGradients(self.losses[self.updates - 1], {"w": np.full(2, self.gradient, np.float32)}, 30)

    def validate(self) -> float:
        return float(self.parameters["w"][0])

    def network(self, parameters: Parameters) -> float:
        return float(parameters["w"][0])

    def export(self) -> TrainableState:
        return TrainableState({}, {})

    def restore(self, state: TrainableState) -> None:
        raise AssertionError("nothing to go on from")


OPTIONS = TrainerOptions(
    max_updates=4, validate_every=2, optimizer="sgd", momentum=0.0, weight_decay=0.0, learning_rate=1.0
)


def test_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(100.0, 0.5)  # half a second each time that somebody looks
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: next(clock))
    told = list[TrainingProgress]()
    result = fit(Scripted([4.0, 2.0, 8.0, 1.0], OPTIONS), on_progress=told.append)
    losses = [4.0, 3.8, 4.22, 3.898]  # a tenth of the way to the newest
    assert [at.loss for at in told] == pytest.approx(losses)
    assert [point.loss for point in result.history] == pytest.approx([losses[1], losses[3]])
    assert [(at.update, at.of, at.epoch) for at in told] == [(1, 4, 0), (2, 4, 1), (3, 4, 1), (4, 4, 2)]
    assert [at.rows_per_second for at in told] == pytest.approx([60] * 4)
    assert [at.seconds_left for at in told] == pytest.approx([1.5, 1.0, 0.5, 0.0])
    assert math.isnan(told[0].validation_loss)
    assert told[2].validation_loss == result.history[0].validation_loss < 9
    assert (result.updates, result.best_update) == (4, 4)
    assert result.network == result.best_validation_loss < result.history[0].validation_loss
    assert result.history[0].gradient_norm == pytest.approx(math.sqrt(2))


def test_speed_is_that_since_the_resumption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = itertools.count(100.0, 0.5)
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: next(clock))
    file = tmp_path / "run.checkpoint"

    class Resumable(Scripted):
        def restore(self, state: TrainableState) -> None:
            self.updates = 2

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Resumable([4.0, 2.0, 8.0, 1.0], OPTIONS), checkpoint=file, on_validation=stop)
    told = list[TrainingProgress]()
    fit(Resumable([4.0, 2.0, 8.0, 1.0], OPTIONS), checkpoint=file, resume=True, on_progress=told.append)
    assert [at.loss for at in told] == pytest.approx([4.22, 3.898])
    assert [at.rows_per_second for at in told] == pytest.approx([60, 60])
    assert [at.seconds_left for at in told] == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("gradient", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_ends_training(gradient: float) -> None:
    with pytest.raises(DataError, match=r"update 1: expected a finite gradient, got (nan|inf); lower learning_rate"):
        fit(Scripted([1.0], OPTIONS, gradient=gradient))
