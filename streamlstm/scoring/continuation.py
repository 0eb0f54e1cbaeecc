"""Which states of streams mean the same under two models, and so go on when one takes the other's place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from streamlstm.kernels import CELL_FIELDS
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.branches.known import branches_of, state_of
from streamlstm.scoring.branches.protocol import Branch
from streamlstm.scoring.channel_runs import ChannelRuns, runs_of
from streamlstm.scoring.state import StatePiece

__all__ = ["is_continued_by", "pieces_of"]


def is_continued_by(old: ModelBundle, new: ModelBundle) -> bool:
    """Say whether the state of streams under one model means the same under the other.

    Equal sizes and units are needed, branches that keep the same pieces, and weights that are equal or of one descent:
    one was fine-tuned from the other.
    """
    one, other = old.network, new.network
    if old.channels != new.channels or one.architecture != other.architecture:
        return False
    units = ((old.standardizer.mean, new.standardizer.mean), (old.standardizer.scale, new.standardizer.scale))
    if not all(np.array_equal(a, b) for a, b in units):
        return False
    if pieces_of(branches_of(old), runs_of(old)) != pieces_of(branches_of(new), runs_of(new)):
        return False
    if new.training.get("start") == old.label or old.training.get("start") == new.label:
        return True
    pairs = [(one.head_weight, other.head_weight), (one.head_bias, other.head_bias)]
    for a, b in zip(one.layers, other.layers, strict=True):
        pairs += [(getattr(a, name), getattr(b, name)) for name in CELL_FIELDS]
    return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)


def pieces_of(branches: Iterable[Branch], runs: ChannelRuns | None) -> dict[str, StatePiece]:
    """Return the pieces of a stream's state row that a model's branches keep, and what it knows of its channels."""
    return {**state_of(branches), **(runs.state if runs else {})}
