"""Values sample by sample, as text formats hold them, to blocks of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.decoding.samples import ValueBlock

__all__ = ["Values", "block_of_columns", "blocks_of", "merged"]

Values: TypeAlias = dict[str, float | None] | list[float | None]
"""A sample's values by channel, or in the model's channel order; None and absent mean missing."""


def blocks_of(values: Sequence[Values | None]) -> tuple[ValueBlock, ...]:
    """Return the values of each sample, whose row is its place; None: a sample without values.

    What is no finite float32 is missing. A block's channels stand as its samples name them: samples that name the same
    channels in another order lie in another block, so that what is made of a sample is no matter of its neighbours.
    """
    if not values:
        return ()
    if isinstance(values[0], dict) and (block := _of_one_kind(values, tuple(values[0]))):
        return (block,)
    kinds: dict[tuple[str, ...] | int, list[int]] = {}
    for row, sample in enumerate(values):
        if isinstance(sample, dict):
            if sample:
                kinds.setdefault(tuple(sample), []).append(row)
        elif sample is not None:
            kinds.setdefault(len(sample), []).append(row)
    blocks = []
    for kind, rows in kinds.items():
        own: list[Any] = [values[row] for row in rows]
        if isinstance(kind, int):
            blocks.append(ValueBlock(None, np.array(rows), _floats(own, len(own), kind)))
        else:
            blocks.append(ValueBlock(kind, np.array(rows), _floats(map(dict.values, own), len(own), len(kind))))
    return tuple(blocks)


def block_of_columns(columns: Mapping[str, Sequence[float | None]]) -> tuple[ValueBlock, ...]:
    """Return values that came channel by channel, all of one length, as a block; none where there are no channels."""
    if not columns:
        return ()
    width = len(next(iter(columns.values())))
    array = _floats(columns.values(), len(columns), width)
    return (ValueBlock(tuple(columns), np.arange(width), array.T),)


def merged(blocks: Iterable[ValueBlock]) -> tuple[ValueBlock, ...]:
    """Return the same values with one block for all that have the same channels."""
    kinds: dict[tuple[str, ...] | int, list[ValueBlock]] = {}
    for block in blocks:
        kinds.setdefault(block.values.shape[1] if block.channels is None else block.channels, []).append(block)
    return tuple(
        ValueBlock(
            same[0].channels,
            np.concatenate([block.rows for block in same]),
            np.concatenate([block.values for block in same]),
        )
        for same in kinds.values()
    )


def _of_one_kind(values: Sequence[Any], channels: tuple[str, ...]) -> ValueBlock | None:
    """Return one block if every sample names exactly these channels in this order.

    Names are compared in one sweep: no sample can name a channel twice, so if all names in a row are the channels over
    and over, each sample has each once.
    """
    try:
        names = list(chain.from_iterable(values))
    except TypeError:  # a sample without values
        return None
    if not channels or names != list(channels) * len(values):
        return None
    array = _floats(map(dict.values, values), len(values), len(channels))
    return ValueBlock(channels, np.arange(len(values)), array)


def _floats(rows: Iterable[Iterable[float | None]], count: int, width: int) -> NDArray[np.float32]:
    """Return rows of numbers as an array. Shapes: float32 [count, width]; NumPy reads None as NaN."""
    with np.errstate(over="ignore"):
        flat: Iterable[Any] = chain.from_iterable(rows)
        array = np.fromiter(flat, np.float32, count=count * width).reshape(count, width)
    array[np.isinf(array)] = np.nan
    return array
