"""Columns of samples: blocks from values by name, joined, taken, and laid out in a model's channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlstm.streaming.decoding.columns import Values, block_of_columns, blocks_of, merged
from streamlstm.streaming.decoding.samples import NO_SAMPLES, SampleColumns, ValueBlock, joined

NAN = float("nan")


def columns(values: list[Any], *, record: list[int] | None = None, index: list[int] | None = None) -> SampleColumns:
    count = len(values)
    return SampleColumns(
        [f"s{row}" for row in range(count)],
        np.arange(count) * 10,
        np.array(record if record is not None else range(count), np.int64),
        np.array(index or [0] * count, np.int64),
        blocks_of(values),
    )


def check(array: np.ndarray, expected: Any) -> None:
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array(expected, np.float32))


def test_values_are_laid_out_in_the_order_of_the_model_s_channels() -> None:
    array, strangers = columns([{"b": 2.5, "a": 1.5}, {"a": 3.5, "b": None}]).aligned(("a", "b"))
    check(array, [[1.5, 2.5], [3.5, NAN]])
    assert strangers == []
    array, strangers = columns([{"b": 2.5, "a": 1.5}, {"b": 3.5, "a": None}]).aligned(("a", "b"))
    check(array, [[1.5, 2.5], [NAN, 3.5]])
    assert strangers == []
    check(columns([{"x": 1.0}, {"x": None}]).aligned(("x",))[0], [[1], [NAN]])
    assert columns([]).aligned(("a", "b"))[0].shape == (0, 2)


def test_what_a_model_does_not_know_is_listed_by_row_with_its_first_name() -> None:
    mixed = [
        {"a": 1.5, "z": 9.0},
        [7.0, None],
        {},
        [1.0, 2.0, 3.0],
        {"a": 1e300, "b": 4},
        {"a": 1.0, "d": 2.0, "c": None},
        None,
        {"z": 9.0, "a": 1.5},
    ]
    array, strangers = columns(mixed).aligned(("a", "b"))
    check(array, [[1.5, NAN], [7, NAN], [NAN, NAN], [NAN, NAN], [NAN, 4], [1, NAN], [NAN, NAN], [1.5, NAN]])
    assert strangers == [(0, "z"), (3, "an array of 3 values"), (5, "d"), (7, "z")]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_no_float32_holds_is_missing(sign: int) -> None:
    for values in ([{"a": 1e39 * sign}], [[1e39 * sign]], [{"a": sign * float("inf")}]):
        check(columns(values).aligned(("a",))[0], [[NAN]])
    (block,) = block_of_columns({"a": [1e39 * sign, 3.0]})
    check(block.values, [[NAN], [3]])


def test_samples_that_name_channels_in_another_order_lie_in_another_block() -> None:
    kinds = [{"a": 1.0, "b": 2.0}, {"b": 3.0, "a": 4.0}, {"a": 5.0, "b": 6.0}, {"a": 7.0}, {"b": 1.0, "c": 2.0}]
    blocks = blocks_of([*kinds, [1.0], [2.0, 3.0], [4.0]])
    assert [(block.channels, block.rows.tolist(), block.values.tolist()) for block in blocks] == [
        (("a", "b"), [0, 2], [[1, 2], [5, 6]]),
        (("b", "a"), [1], [[3, 4]]),
        (("a",), [3], [[7]]),
        (("b", "c"), [4], [[1, 2]]),
        (None, [5, 7], [[1], [4]]),
        (None, [6], [[2, 3]]),
    ]
    assert blocks_of([]) == () and blocks_of([{}, {}]) == () and blocks_of([None]) == ()
    ((none, rows, values),) = [(b.channels, b.rows.tolist(), b.values.shape) for b in blocks_of([[], []])]
    assert (none, rows, values) == (None, [0, 1], (2, 0))


def test_columns_by_channel_make_one_block() -> None:
    (block,) = block_of_columns({"a": [1.0, None, 3.0], "b": [4.0, 5.0, 6.0]})
    assert block.channels == ("a", "b") and block.rows.tolist() == [0, 1, 2]
    check(block.values, [[1, 4], [NAN, 5], [3, 6]])
    assert block_of_columns({}) == ()


def test_blocks_of_equal_channels_are_merged() -> None:
    def block(channels: tuple[str, ...] | None, rows: list[int], values: Any) -> ValueBlock:
        return ValueBlock(channels, np.array(rows), np.array(values, np.float32))

    found = merged(
        [
            block(("a",), [0], [[1]]),
            block(None, [1], [[2]]),
            block(("b",), [2], [[3]]),
            block(None, [3], [[4, 5]]),
            block(("a",), [4, 5], [[6], [7]]),
            block(None, [6], [[8]]),
        ]
    )
    assert [(one.channels, one.rows.tolist(), one.values.tolist()) for one in found] == [
        (("a",), [0, 4, 5], [[1], [6], [7]]),
        (None, [1, 6], [[2], [8]]),
        (("b",), [2], [[3]]),
        (None, [3], [[4, 5]]),
    ]


def test_a_row_s_channels_may_come_in_several_blocks() -> None:
    blocks = tuple(
        ValueBlock((name,), np.array(rows), np.array([values], np.float32).T)
        for name, rows, values in (("b", [0, 1], [1, 2]), ("a", [1], [3]), ("z", [1, 0], [4, 5]), ("y", [1], [6]))
    )
    samples = SampleColumns(["s", "t"], np.arange(2), np.arange(2), np.zeros(2, np.int64), blocks)
    array, strangers = samples.aligned(("a", "b"))
    check(array, [[NAN, 1], [3, 2]])
    assert strangers == [(0, "z"), (1, "z")]


def test_rows_are_taken_with_their_values() -> None:
    samples = columns([{"a": 1.0}, [2.0, 3.0], {"a": 4.0}, None, {"b": 5.0}], record=[3, 3, 4, 5, 9])
    taken = samples.take(np.array([0, 2, 3]))
    assert taken.stream_ids == ["s0", "s2", "s3"] and taken.event_time_ms.tolist() == [0, 20, 30]
    assert taken.record.tolist() == [3, 4, 5] and len(taken) == 3
    assert [block.channels for block in taken.blocks] == [("a",)]
    check(taken.aligned(("b", "a"))[0], [[NAN, 1], [NAN, 4], [NAN, NAN]])
    check(samples.take(np.array([1, 4])).aligned(("b", "a"))[0], [[2, 3], [5, NAN]])
    assert len(samples.take(np.array([], np.int64))) == 0
    assert samples.take(np.arange(5)) is samples


KINDS = st.lists(
    st.one_of(
        st.none(),
        st.lists(st.floats(0, 9, width=16), max_size=2),
        st.dictionaries(st.sampled_from("abc"), st.floats(0, 9, width=16)),
    ),
    max_size=8,
)


@given(st.data(), KINDS)
def test_parts_are_joined_in_arrival_order(data: st.DataObject, values: list[Values | None]) -> None:
    """Samples are dealt out to three parts, record by record; together they are as if they had never been apart."""
    count = len(values)
    record = sorted(data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    index = [row - record.index(number) for row, number in enumerate(record)]
    whole = columns(values, record=record, index=index)
    part_of = np.array(data.draw(st.lists(st.integers(0, 2), min_size=5, max_size=5)))[whole.record]
    found = joined([whole.take(np.flatnonzero(part_of == part)) for part in range(3)])
    assert list(found.stream_ids) == whole.stream_ids
    for name in ("event_time_ms", "record", "index"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    for channels in (("a", "b"), ("c",)):
        array, strangers = found.aligned(channels)
        expected, expected_strangers = whole.aligned(channels)
        np.testing.assert_array_equal(array, expected)
        assert strangers == expected_strangers


def test_no_parts_make_no_samples() -> None:
    assert len(NO_SAMPLES) == len(joined([])) == len(joined([NO_SAMPLES, NO_SAMPLES])) == 0
    assert NO_SAMPLES.aligned(("a",))[0].shape == (0, 1)
