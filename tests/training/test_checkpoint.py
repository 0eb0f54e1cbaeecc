"""A run that is stopped and resumed ends in the same bits as one that is not; what is no fit checkpoint is refused."""

import dataclasses
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import DataError
from streamlstm.kernels import CELL_FIELDS
from streamlstm.training import trainer
from streamlstm.training.causal.trainable import CausalTraining
from streamlstm.training.options import TrainerOptions
from streamlstm.training.segments import Segment
from streamlstm.training.trainer import FitResult, ValidationPoint

PLAIN = TrainerOptions(
    hidden=9,
    forecast=3,
    reconstruct=8,
    bptt_steps=16,
    batch=5,
    reset_every=64,
    burn_in=4,
    max_updates=30,
    validate_every=4,
)
EVERYTHING = dataclasses.replace(
    PLAIN,
    cells=("lstm", "gru"),
    mask_inputs=True,
    loss="gaussian",
    trim=0.1,
    schedule="plateau",
    patience=5,
    dropout=0.2,
    recurrent_dropout=0.1,
    jitter=0.1,
    scale=0.1,
    time_warp=0.2,
    channel_drop=0.2,
)
SGD = dataclasses.replace(PLAIN, optimizer="sgd", learning_rate=0.5, schedule="one_cycle")


class Stopped(Exception):
    pass


def parts() -> tuple[list[Segment], list[Segment]]:
    rng = np.random.default_rng(11)
    time = np.arange(500)[:, None]
    values = np.sin(time / np.array([3.1, 7.7])) + rng.normal(0, 0.1, (500, 2))
    observed = rng.random(values.shape) > 0.05
    x = values.astype(np.float32)
    return [Segment(x[:230], observed[:230]), Segment(x[230:390], observed[230:390])], [
        Segment(x[390:], observed[390:])
    ]


def fit(
    o: TrainerOptions,
    *,
    stop_at: int = 0,
    points: list[ValidationPoint] | None = None,
    frozen: tuple[str, ...] = (),
    **changes: object,
) -> FitResult:
    def on_validation(point: ValidationPoint) -> None:
        if points is not None:
            points.append(point)
        if point.update == stop_at:
            raise Stopped

    training = CausalTraining(*parts(), o, frozen=frozen)
    return trainer.fit(training, on_validation=on_validation, **changes)  # type: ignore[arg-type]


def arrays(result: FitResult) -> list[NDArray[np.float32]]:
    network = result.network
    layers = [getattr(layer, name) for layer in network.layers for name in CELL_FIELDS]
    return [*(array for array in layers if array is not None), network.head_weight, network.head_bias]


@pytest.mark.parametrize("o", [PLAIN, EVERYTHING, SGD], ids=["plain", "everything", "sgd"])
def test_resumed_runs_end_in_the_same_bits(o: TrainerOptions, tmp_path: Path) -> None:
    unbroken = fit(o)
    file = tmp_path / "run.checkpoint"
    assert fit(o, checkpoint=file, resume=True).history == unbroken.history  # nothing there: from the beginning
    file.unlink()
    for stop_at in (4, 12, 16):
        with pytest.raises(Stopped):
            fit(o, checkpoint=file, resume=True, stop_at=stop_at)
    points: list[ValidationPoint] = []
    resumed = fit(o, checkpoint=file, resume=True, points=points)
    assert resumed.history == unbroken.history == tuple(points)  # those before the resumption are told again
    assert (resumed.updates, resumed.best_update) == (unbroken.updates, unbroken.best_update)
    for one, two in zip(arrays(resumed), arrays(unbroken), strict=True):
        np.testing.assert_array_equal(one, two)
    again = fit(o, checkpoint=file, resume=True)  # it has ended: nothing is left to do
    assert again.history == unbroken.history
    for one, two in zip(arrays(again), arrays(unbroken), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Stopped):
        fit(PLAIN, checkpoint=file, stop_at=8)
    before = file.read_bytes()
    for other in (dataclasses.replace(PLAIN, seed=2), dataclasses.replace(PLAIN, max_updates=31)):
        with pytest.raises(DataError, match="of other data or options; train as before to go on with it, or delete it"):
            fit(other, checkpoint=file, resume=True)
    with pytest.raises(DataError, match="of other data"):
        fit(PLAIN, checkpoint=file, resume=True, frozen=("head",))
    assert file.read_bytes() == before


def test_a_checkpoint_that_was_validated_on_other_rows_is_refused(tmp_path: Path) -> None:
    file, (training, [part]) = tmp_path / "run.checkpoint", parts()
    with pytest.raises(Stopped):
        fit(PLAIN, checkpoint=file, stop_at=8)
    unseen = part.observed.copy()
    unseen[:5] = False
    for others in ([Segment(part.x + 1, part.observed)], [Segment(part.x, unseen)], [part, part], []):
        with pytest.raises(DataError, match="of other data or options"):
            trainer.fit(CausalTraining(training, others, PLAIN), checkpoint=file, resume=True)
    cut = [Segment(part.x[rows], part.observed[rows]) for rows in (slice(60), slice(60, None))]
    with pytest.raises(DataError, match="of other data or options"):
        trainer.fit(CausalTraining(training, cut, PLAIN), checkpoint=file, resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Stopped):
        fit(PLAIN, checkpoint=file, stop_at=8)
    whole = file.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], b"", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"run\.checkpoint: .*; delete it to begin anew"):
            fit(PLAIN, checkpoint=file, resume=True)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Stopped):
        fit(PLAIN, checkpoint=file, stop_at=8)
    before = file.read_bytes()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # the limit is of a process, and must not be ours
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
        try:
            fit(PLAIN, checkpoint=file, resume=True)
        except DataError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as told:
        message = told.read()
    os.waitpid(child, 0)
    assert message.endswith("cannot be written (File too large); the file that was there before, if any, is unchanged")
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["run.checkpoint"]
    assert fit(PLAIN, checkpoint=file, resume=True).history == fit(PLAIN).history
