"""What a file of another framework holds, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import BundleError, ShapeError, UsageError
from streamlstm.kernels import CellWeights, check_stack
from streamlstm.model.standardizer import Standardizer

__all__ = ["FileContent", "ForeignNetwork", "Linear", "select"]

Linear: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight [D, R] and bias [D] of a linear layer."""


@dataclass(frozen=True, slots=True)
class ForeignNetwork:
    """A recurrent stack that was trained elsewhere.

    Shapes: layers, the lowest first; head, the linear layer on top: weight [D, R] and bias [D], or None.
    `standardizer` is what the file's own inputs go through first, where it says so; source names framework and file.
    """

    layers: tuple[CellWeights, ...]
    head: Linear | None
    standardizer: Standardizer | None
    source: str


@dataclass(frozen=True, slots=True)
class FileContent:
    """Recurrent modules and linear layers by their names in the file.

    `is_ordered` says whether the modules come as they stand on each other, the lowest first.
    """

    framework: str
    modules: Mapping[str, tuple[CellWeights, ...]]
    linear: Mapping[str, Linear] = field(default_factory=dict)
    standardizer: Standardizer | None = None
    is_ordered: bool = False


def select(path: str, content: FileContent, *, modules: Sequence[str], head: str | None) -> ForeignNetwork:
    """Stack the named modules, or all where their order is known; take the named linear layer, or the only one.

    Raises: UsageError for a name that the file has not, or one that is needed; BundleError when layers do not fit.
    """
    if not content.modules:
        raise BundleError(f"{path}: expected an LSTM, GRU or plain RNN, got a file without one")
    for name in modules:
        if name not in content.modules:
            raise UsageError(
                f"{path}: expected a recurrent module in the file ({_listed(content.modules)}), got {name!r}"
            )
    if not modules and len(content.modules) > 1 and not content.is_ordered:
        raise UsageError(
            f"{path}: holds several recurrent modules ({_listed(content.modules)}) and does not say how they are "
            "stacked; name them, the lowest first (--layers)"
        )
    layers = tuple(layer for name in modules or content.modules for layer in content.modules[name])
    try:
        check_stack(layers)
    except ShapeError as error:
        raise BundleError(
            f"{path}: the layers do not fit on top of each other ({error}); name them (--layers)"
        ) from error
    if head is not None and head not in content.linear:
        known = _listed(content.linear) or "none"
        raise UsageError(f"{path}: head: expected a linear layer in the file ({known}), got {head!r}")
    linear = content.linear[head] if head is not None else None
    if head is None and len(content.linear) == 1:
        linear = next(iter(content.linear.values()))
        if linear[0].shape[1] != layers[-1].output_size:  # some other layer's, below the recurrent ones for instance
            linear = None
    if linear is not None and linear[0].shape[1] != layers[-1].output_size:
        raise BundleError(
            f"{path}: {head}: expected a linear layer of {layers[-1].output_size} inputs, as the top layer gives, "
            f"got {linear[0].shape[1]}"
        )
    return ForeignNetwork(layers, linear, content.standardizer, f"{content.framework}, {Path(path).name}")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(name or "''" for name in names)
