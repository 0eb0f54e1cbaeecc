"""Telemetry decoding: every shape of record, every reason, and good neighbours that survive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlstm.streaming.decoding import json_fast
from streamlstm.streaming.decoding.json_fast import JsonDecoder
from streamlstm.streaming.decoding.json_strict import explain_all
from streamlstm.streaming.decoding.rejections import Reason, Rejection, dead_letter
from streamlstm.streaming.decoding.samples import SampleColumns
from streamlstm.types import MISSING_TIME_MS, Record

NOON_MS = 1_795_262_400_000
"""2026-11-21T12:00:00Z, computed apart: 20778 days * 86400 s + 12 h."""

EXAMPLE = "2026-11-21T01:20:30.250Z"


def record(value: object, *, key: bytes | None = b"ward3/bed7", timestamp_ms: int = NOON_MS + 5_000) -> Record:
    data = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Record("telemetry", 3, 41, key, data, timestamp_ms)


def sample(**changes: Any) -> dict[str, Any]:
    fields = {
        "stream_id": "ward3/bed7",
        "ts": "2026-11-21T12:00:00.250Z",
        "values": {"hr": 71.2, "spo2": 97, "abp": None},
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def samples_of(columns: SampleColumns) -> list[tuple[str, int, int, int, Any]]:
    """Return sample by sample what columns hold: stream, time, record, index, values as a record would name them."""
    values: list[Any] = [{} for _ in columns.stream_ids]
    for block in columns.blocks:
        for row, numbers in zip(block.rows.tolist(), block.values.tolist(), strict=True):
            own = [None if number != number else float(f"{number:.6g}") for number in numbers]
            assert values[row] == {}
            values[row] = own if block.channels is None else dict(zip(block.channels, own, strict=True))
    fields = (columns.event_time_ms, columns.record, columns.index)
    return list(zip(columns.stream_ids, *(field.tolist() for field in fields), values, strict=True))


def rows(value: object, decoder: JsonDecoder | None = None, **of_record: Any) -> list[tuple[str, int, Any]]:
    decoded = (decoder or JsonDecoder()).decode([record(value, **of_record)])
    assert decoded.rejected == []
    samples = samples_of(decoded.samples)
    assert [index for *_, index, _ in samples] == list(range(len(samples)))
    return [(stream_id, time_ms - NOON_MS, values) for stream_id, time_ms, _, _, values in samples]


def rejected(value: object, decoder: JsonDecoder | None = None, **of_record: Any) -> tuple[str, str]:
    decoded = (decoder or JsonDecoder()).decode([record(value, **of_record)])
    [rejection] = decoded.rejected
    return rejection.reason.value, rejection.error


def test_one_sample() -> None:
    assert rows(sample(seq=9, labels={"x": 1})) == [("ward3/bed7", 250, {"hr": 71.2, "spo2": 97.0, "abp": None})]
    assert rows(sample(values=[1, None, 2.5])) == [("ward3/bed7", 250, [1.0, None, 2.5])]
    assert rows(sample(ts="2026-11-21T13:30:01+01:30")) == [("ward3/bed7", 1_000, sample()["values"])]
    assert rows(sample(quality="bad")) == [("ward3/bed7", 250, {})]
    assert rows(sample(quality="uncertain"))[0][2]["hr"] == 71.2


def test_arrays_and_packed_frames() -> None:
    array = [sample(), sample(stream_id="b", ts="2026-11-21T12:00:01Z", values=[3.5])]
    assert rows(array) == [("ward3/bed7", 250, sample()["values"]), ("b", 1_000, [3.5])]
    times = ["2026-11-21T12:00:00Z", "2026-11-21T12:00:02Z"]
    assert rows(sample(ts=times, values={"hr": [1.5, None], "spo2": [3, 4], "abp": None})) == [
        ("ward3/bed7", 0, {"hr": 1.5, "spo2": 3.0}),
        ("ward3/bed7", 2_000, {"hr": None, "spo2": 4.0}),
    ]
    assert rows(sample(ts=times, values=[[1, 2], [None, 4]])) == [
        ("ward3/bed7", 0, [1.0, 2.0]),
        ("ward3/bed7", 2_000, [None, 4.0]),
    ]
    assert rows(sample(ts=times, values={}, quality="bad")) == [("ward3/bed7", 0, {}), ("ward3/bed7", 2_000, {})]


def test_order_and_source_of_samples() -> None:
    records = [record([sample(), sample(values={"hr": "x"}), sample(stream_id="b")]), record(b"{"), record(sample())]
    decoded = JsonDecoder().decode(records)
    assert [(stream_id, record, index) for stream_id, _, record, index, _ in samples_of(decoded.samples)] == [
        ("ward3/bed7", 0, 0),
        ("b", 0, 2),
        ("ward3/bed7", 2, 0),
    ]
    assert [rejection.record for rejection in decoded.rejected] == records[:2]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("ms", 1), ("us", 1_000), ("ns", 1_000_000)])
def test_numeric_time_in_the_declared_unit(unit: Any, factor: float) -> None:
    decoder = JsonDecoder(ts_unit=unit)
    assert rows(sample(ts=(NOON_MS + 251) * factor), decoder)[0][1] == 251
    assert rejected(sample(), decoder)[0] == "bad_timestamp"
    assert rejected(sample(ts=True), decoder) == ("bad_timestamp", "Expected `float | null`, got `bool` - at `$.ts`")


def test_stream_id_and_time_beside_the_value() -> None:
    decoder = JsonDecoder(stream_id="key", ts_path="record")
    assert rows({"values": {"hr": 1}}, decoder, key=b"pump") == [("pump", 5_000, {"hr": 1.0})]
    assert rows([{"values": [1]}, {"values": [2]}], decoder)[1] == ("ward3/bed7", 5_000, [2.0])
    assert rejected({"values": [1]}, decoder, key=None)[0] == "missing_stream_id"
    assert rejected({"values": [1]}, decoder, key=b"\xff")[0] == "missing_stream_id"
    assert rejected({"values": [1]}, decoder, timestamp_ms=-1)[0] == "bad_timestamp"
    renamed = JsonDecoder(stream_id="$.device", ts_path="$.at", ts_unit="ms")
    assert rows({"device": "d", "at": NOON_MS, "values": {}}, renamed) == [("d", 0, {})]


@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        (None, "empty", "Expected a telemetry record, got no value"),
        (b"", "empty", "Expected a telemetry record, got no value"),
        ([], "empty", "Expected at least one sample, got `[]`"),
        (sample(ts=[], values={}), "empty", "Expected at least one sample, got `[]` - at `$.ts`"),
        (b'{"stream_id": "a"', "malformed_json", "JSON is malformed: Expecting ',' delimiter"),
        (b"\xff\xfe", "malformed_json", "JSON is malformed: 'utf-8' codec"),
        (b"[" * 100_000, "malformed_json", "JSON is malformed: "),
        (b"9" * 5_000, "malformed_json", "JSON is malformed: "),
        (b"7", "wrong_type", "Expected `object`, got `int` - at `$`"),
        (sample(values={"hr": "71"}), "wrong_type", "Expected `float | null`, got `str` - at `$.values.hr`"),
        (sample(values={"hr": True}), "wrong_type", "Expected `float | null`, got `bool` - at `$.values.hr`"),
        (sample(values=[1, [2]]), "wrong_type", "Expected `float | null`, got `array` - at `$.values[1]`"),
        (sample(values=...), "wrong_type", "Expected `object | array`, got `null` - at `$.values`"),
        (sample(quality="fine"), "wrong_type", "Expected one of good, uncertain, bad - at `$.quality`"),
        (sample(quality=["bad"]), "wrong_type", "Expected one of good, uncertain, bad - at `$.quality`"),
        (sample(stream_id=7), "wrong_type", "Expected `str`, got `int` - at `$.stream_id`"),
        (sample(stream_id="\ud800"), "wrong_type", "Expected text, got half of a surrogate pair"),
        (sample(stream_id=...), "missing_stream_id", "Expected a stream id, got none - at `$.stream_id`"),
        (sample(stream_id=""), "missing_stream_id", "Expected a stream id, got none - at `$.stream_id`"),
        (sample(ts=...), "bad_timestamp", "Expected an RFC 3339 time such as 2026-11-21T01:20:30.250Z, got `null`"),
        (sample(ts="2026-11-21T12:00:00"), "bad_timestamp", "Expected an RFC 3339 time such as "),
        (sample(ts=1_795_262_400), "bad_timestamp", "Expected an RFC 3339 time such as "),
        (sample(ts="1969-12-31T23:59:59Z"), "bad_timestamp", "Expected a time in [1970, 2200), got -1 s - at `$.ts`"),
        (sample(ts="2200-01-01T00:00:00Z"), "bad_timestamp", "Expected a time in [1970, 2200), got "),
        (
            sample(ts="2026-11-21T12:05:05.001Z"),
            "timestamp_ahead",
            "Expected a time at most 300000 ms after the record",
        ),
        (
            sample(ts=["2026-11-21T12:00:00Z"], values={"hr": [1, 2]}),
            "wrong_type",
            "Expected `array` of length 1, got ",
        ),
        (sample(ts=["2026-11-21T12:00:00Z"], values=[[1], [2]]), "wrong_type", "Expected `array` of length 1, got "),
        (sample(ts="x" * 80), "bad_timestamp", f'Expected an RFC 3339 time such as {EXAMPLE}, got "{"x" * 59} - at `'),
        (sample(ts=["2026-11-21T12:00:00Z"], values=3), "wrong_type", "Expected `object | array`, got `int` - at "),
    ],
)
def test_rejected(value: object, reason: str, error: str) -> None:
    got_reason, got_error = rejected(value)
    assert (got_reason, got_error[: len(error)]) == (reason, error)


def test_the_end_of_time_is_refused_where_no_record_says_what_is_ahead() -> None:
    decoder, end_ms = JsonDecoder(ts_unit="ms"), 7_258_118_400_000  # 2200-01-01: 84,006 days
    assert rows(sample(ts=end_ms - 1), decoder, timestamp_ms=MISSING_TIME_MS)[0][1] == end_ms - 1 - NOON_MS
    reason, error = rejected(sample(ts=end_ms), decoder, timestamp_ms=MISSING_TIME_MS)
    assert reason == "bad_timestamp" and "Expected a time in [1970, 2200)" in error


def test_ahead_is_measured_from_the_record_and_only_where_it_has_a_time() -> None:
    at_the_edge = sample(ts="2026-11-21T12:05:05Z")
    assert rows(at_the_edge)[0][1] == 305_000
    assert rows(sample(ts="2090-01-01T00:00:00Z"), timestamp_ms=-1)[0][0] == "ward3/bed7"
    assert rejected(at_the_edge, JsonDecoder(max_ahead_ms=1_000))[0] == "timestamp_ahead"


def test_oversized() -> None:
    value = sample(values={"hr": 1.0}, labels={"note": "x" * 200})
    assert rejected(value, JsonDecoder(max_record_bytes=150))[0] == "oversized"
    assert len(rows(value, JsonDecoder(max_record_bytes=len(json.dumps(value))))) == 1


@pytest.mark.parametrize("letter", ["a", "ä", "\N{STRAIGHT RULER}"])
@pytest.mark.parametrize("has_id", [True, False])
def test_a_stream_id_has_a_thousand_bytes_at_most(letter: str, has_id: bool) -> None:
    most = letter * (1000 // len(letter.encode()))
    options: dict[str, Any] = {} if has_id else {"stream_id": "key"}

    def of(stream_id: str) -> dict[str, Any]:
        return {"value": sample(stream_id=stream_id if has_id else ...), "key": stream_id.encode()}

    assert rows(decoder=JsonDecoder(**options), **of(most))[0][0] == most
    path = "$.stream_id" if has_id else "key"
    assert rejected(decoder=JsonDecoder(**options), **of(most + "b")) == (
        "oversized",
        f"Expected a stream id of at most 1000 bytes, got 1001 - at `{path}`",
    )


def test_what_no_float_holds_is_missing() -> None:
    text = json.dumps(sample(values={"a": 1, "b": 2, "c": 3, "d": 4})).encode()
    text = text.replace(b'"b": 2', b'"b": NaN').replace(b'"c": 3', b'"c": -Infinity').replace(b'"d": 4', b'"d": 1e999')
    assert rows(text)[0][2] == {"a": 1.0, "b": None, "c": None, "d": None}


def test_a_bad_sample_leaves_its_neighbours() -> None:
    array = [sample(), sample(values={"hr": "x"}), sample(stream_id="b"), 7, sample(ts="soon"), sample(stream_id="c")]
    decoded = JsonDecoder().decode([record(array)])
    assert decoded.samples.stream_ids == ["ward3/bed7", "b", "c"]
    [rejection] = decoded.rejected
    assert rejection.reason is Reason.WRONG_TYPE
    assert rejection.error == "Expected `float | null`, got `str` - at `$[1].values.hr` (and 2 more)"
    times = ["2026-11-21T12:00:00Z", "2300-01-01T00:00:00Z", "2026-11-21T12:00:02Z"]
    decoded = JsonDecoder().decode([record(sample(ts=times, values={"hr": [1, 2, "x"], "spo2": [4, 5, 6]}))])
    assert [values for *_, values in samples_of(decoded.samples)] == [{"hr": 1.0, "spo2": 4.0}]
    assert decoded.rejected[0].error.endswith("at `$.ts[1]` (and 1 more)")


def test_one_bad_sample_is_told_alone() -> None:
    assert rejected([sample(), sample(quality="fine")]) == (
        "wrong_type",
        "Expected one of good, uncertain, bad - at `$[1].quality`",
    )


FRAME_TIMES = ["2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z"]


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({}, sample()),
        ({}, sample(values=[1, None, 2.5], quality="good")),
        ({}, [sample(), sample(stream_id="b", quality=None)]),
        ({}, sample(ts=FRAME_TIMES, values={"hr": [1.5, None], "abp": None})),
        ({}, sample(ts=FRAME_TIMES, values=[[1, 2], [None, 4]], quality="bad")),
        ({}, sample(ts="1970-01-01T00:00:00Z")),
        ({}, sample(ts="2026-11-21T12:05:05Z")),
        ({"ts_unit": "s"}, sample(ts=0.25)),
        ({"stream_id": "key"}, [{"ts": EXAMPLE, "values": [1]}]),
        ({"stream_id": "key"}, {"ts": FRAME_TIMES, "values": {"hr": [1, 2]}}),
        ({"ts_path": "record"}, {"stream_id": "a", "values": {"hr": 1}}),
        ({"max_record_bytes": len(json.dumps(sample()))}, sample()),
    ],
)
def test_good_records_do_without_the_strict_path(
    options: dict[str, Any], value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, source = JsonDecoder(**options), record(value)
    expected = samples_of(explain_all([source], [0], decoder.layout)[0])
    monkeypatch.setattr(json_fast, "explain_all", None)
    decoded = decoder.decode([source, source])
    assert samples_of(decoded.samples) == [
        (stream_id, time_ms, number, index, values)
        for number in (0, 1)
        for stream_id, time_ms, _, index, values in expected
    ]


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2026-11-21T12:05:05Z"])
def test_the_bounds_of_the_strict_path_are_those_of_the_fast_one(time: str) -> None:
    text = json.dumps(sample(ts=time, values={"a": 7.5})).encode().replace(b"7.5", b"NaN")
    assert rows(text, JsonDecoder(max_record_bytes=len(text)))[0][2] == {"a": None}
    assert rejected(text, JsonDecoder(max_record_bytes=len(text) - 1))[0] == "oversized"


def test_a_dead_letter_takes_so_many_bytes_and_tells_so_many_characters() -> None:
    whole = dead_letter(Rejection(record(b"a" * 900_000), Reason.OVERSIZED, "e" * 500), "dlq")
    assert whole.value == b"a" * 900_000 and "slstm.bytes" not in dict(whole.headers)
    assert dict(whole.headers)["slstm.error"] == b"e" * 500
    cut = dead_letter(Rejection(record(b"a" * 900_001), Reason.OVERSIZED, "e" * 501), "dlq")
    assert cut.value == b"a" * 900_000 and dict(cut.headers)["slstm.bytes"] == b"900001"
    assert dict(cut.headers)["slstm.error"] == b"e" * 500


def test_the_key_of_a_dead_letter_is_cut() -> None:
    whole = dead_letter(Rejection(record(b"{", key=b"k" * 1000), Reason.MALFORMED_JSON, "e"), "dlq")
    assert whole.key == b"k" * 1000 and "slstm.key_bytes" not in dict(whole.headers)
    cut = dead_letter(Rejection(record(b"{", key=b"k" * 1001), Reason.MALFORMED_JSON, "e"), "dlq")
    assert cut.key == b"k" * 1000 and dict(cut.headers)["slstm.key_bytes"] == b"1001"


def test_dead_letter() -> None:
    source = record(b"{nonsense")
    letter = dead_letter(Rejection(source, Reason.MALFORMED_JSON, "what: \ud800"), "streamlstm.dlq")
    assert (letter.topic, letter.key, letter.value) == ("streamlstm.dlq", b"ward3/bed7", b"{nonsense")
    assert dict(letter.headers) == {
        "slstm.reason": b"malformed_json",
        "slstm.error": b"what: \\ud800",
        "slstm.topic": b"telemetry",
        "slstm.partition": b"3",
        "slstm.offset": b"41",
    }
    long = dead_letter(Rejection(record(b"ab" * 600_000), Reason.OVERSIZED, "long"), "dlq")
    assert long.value == b"ab" * 450_000 and dict(long.headers)["slstm.bytes"] == b"1200000"
    assert dead_letter(Rejection(record(None), Reason.EMPTY, "none"), "dlq").value is None


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30))
NAMES = st.text(min_size=1, max_size=4)
GOOD = st.builds(
    lambda stream, values, quality: sample(stream_id=stream, values=values, quality=quality),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
    st.one_of(st.dictionaries(NAMES, NUMBERS, max_size=4), st.lists(NUMBERS, max_size=4)),
    st.sampled_from([..., None, "good", "bad"]),
)
TIMES = st.just("2026-11-21T12:00:00Z")
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("2026-11-21T12:00:00Z")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8,
)


@given(st.lists(GOOD, min_size=1, max_size=4))
def test_fast_path_agrees_with_the_strict_one(samples: list[dict[str, Any]]) -> None:
    for value in (samples, samples[0]):
        decoder, source = JsonDecoder(), record(value)
        expected, rejected = explain_all([source], [0], decoder.layout)
        assert rejected == [] and len(expected) >= 1
        assert samples_of(decoder.decode([source]).samples) == samples_of(expected)


FRAMES = st.builds(
    lambda stream, columns, is_rows, quality: sample(
        stream_id=stream,
        ts=["2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z"],
        values=list(map(list, zip(*columns.values(), strict=True))) or [[], []] if is_rows else columns,
        quality=quality,
    ),
    st.sampled_from("abc"),
    st.dictionaries(NAMES, st.tuples(NUMBERS, NUMBERS).map(list), max_size=3),
    st.booleans(),
    st.sampled_from([..., "bad"]),
)


@given(FRAMES)
def test_fast_path_agrees_with_the_strict_one_on_frames(frame: dict[str, Any]) -> None:
    decoder, source = JsonDecoder(), record(frame)
    expected, rejected = explain_all([source], [0], decoder.layout)
    assert rejected == [] and len(expected) == 2
    assert samples_of(decoder.decode([source]).samples) == samples_of(expected)


ODD = st.sampled_from([b"{", b"[]", None, sample(values={"hr": "x"}), sample(ts="2300-01-01T00:00:00Z")])
MIXED = st.one_of(GOOD, st.lists(st.one_of(GOOD, ODD.filter(lambda v: isinstance(v, dict))), max_size=3), FRAMES, ODD)


@given(st.lists(MIXED, max_size=6))
def test_what_a_record_gives_does_not_depend_on_its_batch(values: list[Any]) -> None:
    records, decoder = [record(value) for value in values], JsonDecoder()
    together = decoder.decode(records)
    alone = [decoder.decode([one]) for one in records]
    assert samples_of(together.samples) == [
        (stream_id, time_ms, number, index, own)
        for number, decoded in enumerate(alone)
        for stream_id, time_ms, _, index, own in samples_of(decoded.samples)
    ]
    assert together.rejected == [rejection for decoded in alone for rejection in decoded.rejected]


@given(st.binary(max_size=40))
def test_random_bytes_never_raise(data: bytes) -> None:
    decoded = JsonDecoder().decode([record(sample()), record(data), record(sample())])
    assert len(decoded.samples) >= 2 and len(decoded.rejected) == 1


@given(st.data())
def test_mutated_records_never_raise_and_neighbours_survive(data: st.DataObject) -> None:
    text = bytearray(json.dumps(data.draw(GOOD)).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    assert len(JsonDecoder().decode([record(sample()), record(bytes(text)), record(sample())]).samples) >= 2

    changed = sample() | data.draw(st.dictionaries(st.sampled_from(["stream_id", "ts", "values", "quality"]), JSON))
    for decoder in (JsonDecoder(), JsonDecoder(ts_unit="ns"), JsonDecoder(stream_id="key", ts_path="record")):
        good = sample() if decoder.layout.ts_unit == "rfc3339" else sample(ts=NOON_MS * 1_000_000)
        for odd in (changed, data.draw(JSON)):
            decoded = decoder.decode([record([good, odd, good])])
            assert [index for index in decoded.samples.index.tolist() if index != 1] == [0, 2]
            assert len(decoded.samples) + len(decoded.rejected) == 3
            for stream_id in decoded.samples.stream_ids:
                stream_id.encode()
            decoder.decode([record(odd)])
