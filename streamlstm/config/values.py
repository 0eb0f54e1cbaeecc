"""Kinds of values in a configuration: durations, counts, paths, server lists, names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from streamlstm.scoring.delays import Delay

__all__ = [
    "FIELD_PATTERN",
    "NAME_PATTERN",
    "PREFIX_PATTERN",
    "TOPIC_PATTERN",
    "Count",
    "DataPath",
    "DelayText",
    "Duration",
    "FilePath",
    "Interval",
    "Number",
    "Period",
    "PositiveDuration",
    "Rate",
    "Servers",
    "Share",
    "SwitchedPath",
    "Whole",
    "delay",
    "delay_of",
    "duration",
    "milliseconds",
]

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_WAIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|samples?|periods?)")
NAME_PATTERN = r"^[a-zA-Z0-9._-]+$"
FIELD_PATTERN = r"^\$\.[A-Za-z_][A-Za-z0-9_-]*$"
TOPIC_PATTERN = r"^[a-zA-Z0-9._*?-]+$"
PREFIX_PATTERN = r"^[a-zA-Z0-9._-]*$"


def _duration(value: object) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a number with a unit (ms, s, m, h, d) such as 100ms, 30s or 7d")
    return float(match[1]) * _UNIT_MS[match[2]]


def milliseconds(value: object) -> int:
    """Return a duration such as `30s` in ms. Raises: ValueError."""
    duration = _duration(value)
    if duration != int(duration):
        raise ValueError("expected a whole number of milliseconds")
    return int(duration)


def delay_of(value: object) -> Delay:
    """Return a wait such as `2` (samples), `30s`, `0.5 periods` or `30s and 32 samples`. Raises: ValueError."""
    if isinstance(value, Delay):
        return value
    text = f"{value} samples" if isinstance(value, int) and not isinstance(value, bool) and value > 0 else value
    matches = [_WAIT.fullmatch(part.strip()) for part in text.split(" and ")] if isinstance(text, str) else []
    found: dict[str, float] = {}
    for match in matches:
        if match is None:
            break
        unit = match[2].rstrip("s") if match[2][:1] in "sp" and len(match[2]) > 1 else "ms"
        if unit in found:
            raise ValueError("expected each of samples, time and periods once")
        found[unit] = float(match[1]) * _UNIT_MS.get(match[2], 1)
    if not found or None in matches:
        raise ValueError(
            "expected samples from 1 on, or a wait such as 2 samples, 30s, 0.5 periods, 30s and 32 samples"
        )
    samples, ms = found.get("sample", 0.0), found.get("ms", 0.0)
    if samples != int(samples) or ms != int(ms):
        raise ValueError("expected a whole number of samples and of milliseconds")
    return Delay(int(samples), int(ms), found.get("period", 0.0))


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected more than zero")
    return value


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path.expanduser()


def _beside_unless_stdin(path: str, info: ValidationInfo) -> str:
    return path if path == "-" else str(_beside_the_file(Path(path), info))


def _switched_path(value: object, info: ValidationInfo) -> bool | Path:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value:
        return _beside_the_file(Path(value), info)
    raise ValueError("expected true, false or a path")


def _servers(value: str) -> str:
    for server in value.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("expected HOST:PORT, several with commas between")
    return value


_duration_schema = WithJsonSchema(
    {"type": "string", "pattern": rf"^{_DURATION.pattern}$", "examples": ["100ms", "30s", "7d"]}, mode="validation"
)
Duration: TypeAlias = Annotated[int, BeforeValidator(milliseconds), _duration_schema]
PositiveDuration: TypeAlias = Annotated[int, AfterValidator(_positive), BeforeValidator(milliseconds), _duration_schema]
Period: TypeAlias = Annotated[float, AfterValidator(_positive), BeforeValidator(_duration), _duration_schema]
Interval: TypeAlias = Annotated[float, BeforeValidator(_duration), _duration_schema]
Count: TypeAlias = Annotated[int, Field(ge=1), BeforeValidator(_not_bool)]
Rate: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_not_bool)]
Whole: TypeAlias = Annotated[int, Field(ge=0), BeforeValidator(_not_bool)]
Number: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_not_bool)]
Share: TypeAlias = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_not_bool)]
Servers: TypeAlias = Annotated[str, AfterValidator(_servers)]
FilePath: TypeAlias = Annotated[Path, AfterValidator(_beside_the_file)]
"""A relative path counts from the configuration file's folder."""
DataPath: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_beside_unless_stdin)]
"""A file, a folder or a glob, relative as a FilePath is; `-` is standard input."""
SwitchedPath: TypeAlias = Annotated[
    bool | Path, PlainValidator(_switched_path), WithJsonSchema({"type": ["boolean", "string"]})
]
"""false: no such file; true: one with a name that follows from others; or a path, relative as a FilePath is."""


_delay_schema = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {
                "type": "string",
                "pattern": rf"^{_WAIT.pattern}( and {_WAIT.pattern})*$",
                "examples": ["2 samples", "30s", "0.5 periods", "30s and 32 samples"],
            },
        ]
    },
    mode="validation",
)
DelayText: TypeAlias = Annotated[Delay, PlainValidator(delay_of), PlainSerializer(str), _delay_schema]
"""A wait of an alert's life; a number alone counts samples."""


def delay(default: str) -> Any:
    """Declare a wait by its text."""
    return Field(default=default, validate_default=True)


def duration(default: str, *, key: str) -> Any:
    """Declare a duration whose attribute carries its unit (`_ms`) while its key in the file does not."""
    return Field(default=default, alias=key, validate_default=True)
