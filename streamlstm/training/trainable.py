"""What the trainer trains: a network's parameters, with the data that tells how wrong they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from numpy.typing import NDArray

from streamlstm.training.options import TrainerOptions
from streamlstm.training.parameters import Parameters

__all__ = ["BatchGradients", "Trainable", "TrainableState", "TrainingIdentity"]

N_co = TypeVar("N_co", covariant=True)


class BatchGradients(NamedTuple):
    """What one batch says of the parameters: the loss, its gradients by name, and how many rows it is of."""

    loss: float
    by_name: Parameters
    rows: int


class TrainingIdentity(NamedTuple):
    """What tells a training from others."""

    training: str
    """A hash of options, the parts trained on, start and what is frozen."""
    validation: str
    """A hash of the parts validated on."""


@dataclass(frozen=True, slots=True)
class TrainableState:
    """What the next batches depend on, beside the parameters: arrays by group and name, and random generators."""

    arrays: dict[str, dict[str, NDArray[Any]]]
    generators: dict[str, dict[str, Any]]
    """States of random generators: `bit_generator.state`."""


class Trainable(Protocol[N_co]):
    """A network of kind N in training. All methods see the parameters as they are when they are called.

    State: `parameters`, updated in place by the trainer, and where the batches have come to.
    """

    @property
    def options(self) -> TrainerOptions:
        """Return how it is trained."""

    @property
    def parameters(self) -> Parameters:
        """Return all parameters by name."""

    @property
    def trained(self) -> tuple[str, ...]:
        """Return the names of the parameters that are trained; the others are frozen."""

    @property
    def epochs(self) -> int:
        """Return how often all data has been begun."""

    @property
    def identity(self) -> TrainingIdentity:
        """Return what tells this training from others."""

    def differentiate(self) -> BatchGradients:
        """Draw the next batch; return its loss and the gradients by what is trained."""

    def validate(self) -> float:
        """Return the loss on the validation parts, the same rows each time; NaN when there are none."""

    def network(self, parameters: Parameters) -> N_co:
        """Return the network that these parameters make; it holds copies."""

    def export(self) -> TrainableState:
        """Return where the batches have come to."""

    def restore(self, state: TrainableState) -> None:
        """Go on from where an exported state had come to."""
