"""From a file to a valid configuration, or to one error that lists every problem with file, line and key.

Any section model can be the whole of a file: the worker's `Config`, the trainer's `TrainConfig`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamlstm.config.conflicts import conflicts
from streamlstm.config.schema import Config, Section
from streamlstm.config.source import Document, KeyPath, Plain, key_path, read_document
from streamlstm.config.values import FIELD_PATTERN, NAME_PATTERN, PREFIX_PATTERN, TOPIC_PATTERN
from streamlstm.errors import ConfigError

__all__ = ["json_schema", "load_config", "parse_config", "schema_of", "validate"]

S = TypeVar("S", bound=Section)

_PATTERNS = {
    NAME_PATTERN: "only letters, digits, '.', '_' and '-'",
    TOPIC_PATTERN: "only letters, digits, '.', '_' and '-', and the wildcards * and ?",
    PREFIX_PATTERN: "only letters, digits, '.', '_' and '-'",
    f"^key$|{FIELD_PATTERN}": "'key' or a field of the record such as '$.stream_id'",
    f"^record$|{FIELD_PATTERN}": "'record' or a field of the record such as '$.ts'",
}
_KINDS = {
    "string_type": "text (in quotes if it looks like a number)",
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "path_type": "a path",
}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a configuration; `overrides` are `a.b=value`, as given to `--set`.

    Relative paths in it count from the file's folder.
    Raises: ConfigError that lists every problem, one a line.
    """
    file = Path(path)
    document = read_document(file)
    for assignment in overrides:
        document.set(assignment)
    return validate(Config, document, file.parent, conflicts)


def parse_config(data: Mapping[str, Any], *, folder: str | Path = ".") -> Config:
    """Validate a configuration given as plain data. Raises: ConfigError."""
    document = Document("configuration", json.loads(json.dumps(data)))
    return validate(Config, document, Path(folder), conflicts)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a worker's configuration file."""
    return schema_of(Config, "streamlstm configuration") | {"not": {"required": ["kafka", "local"]}}


def schema_of(kind: type[Section], title: str) -> dict[str, Any]:
    """Return the JSON Schema of a file that holds a `kind`."""
    schema: dict[str, Any] = _without_null(kind.model_json_schema(by_alias=True))
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = title
    return schema


def validate(
    kind: type[S], document: Document, folder: Path, conflicts: Callable[[S], Iterable[tuple[KeyPath, str]]]
) -> S:
    """Make a `kind` of a document; relative paths count from `folder`.

    `conflicts` yields what no single section can see: key paths, each with a sentence.
    Raises: ConfigError that lists every problem, one a line.
    """
    nothings = set(_nothings(document.data, ()))
    for path in sorted(nothings, key=str):
        document.report(path, "expected a value, got nothing; leave the key out for its default")
    try:
        config = kind.model_validate(document.data, context={"folder": folder})
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = tuple(details["loc"])
            # A list with a bad item is reported a second time as too short.
            is_echo = details["type"] == "too_short" and bool(details["input"])
            if path not in nothings and not is_echo:
                document.report(path, _sentence(details, document, kind))
    else:
        for path, detail in conflicts(config):
            document.report(path, detail)
        if not document.problems:
            return config
    raise ConfigError("\n".join(dict.fromkeys(document.problems)))


def _sentence(details: ErrorDetails, document: Document, whole: type[BaseModel]) -> str:
    """Say what was expected and what came, and never a secret."""
    path, kind, context = tuple(details["loc"]), details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, whole)
    if kind == "missing":
        return "is missing"
    if kind in _KINDS:
        expected = f"expected {_KINDS[kind]}"
    elif kind == "string_pattern_mismatch":
        expected = f"expected {_PATTERNS[context['pattern']]}"
    elif kind in ("too_short", "string_too_short"):
        expected = "expected at least one"
    elif kind == "value_error":
        expected = str(context["error"])
    else:
        expected = details["msg"].replace("Input should be", "expected").replace("String should have", "expected")
    return f"{expected}, got {_shown(path, details['input'], document)}" if _is_scalar(details) else expected


def _is_scalar(details: ErrorDetails) -> bool:
    return details["type"] != "value_error" or not isinstance(details["input"], dict)


def _shown(path: KeyPath, value: object, document: Document) -> str:
    """Show a value, unless it is a secret or came from one."""
    written = document.origin(path).text
    if "password" in path:
        return "one that is not shown"
    if isinstance(written, str) and "${" in written:
        return f"{written} (its value is not shown)"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "an empty list" if not value else "a list"
    text = json.dumps(value) if isinstance(value, (bool, int, float)) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unknown_key(path: KeyPath, section: type[BaseModel]) -> str:
    parts = iter(path[:-1])
    for part in parts:
        if isinstance(part, str):
            section, has_names = _section_at(section, part)
            if has_names:
                next(parts)  # the name, which is a user's
    if issubclass(section, Section) and path[-1] in section.RENAMED:
        return f"{path[-1]} is called {section.RENAMED[str(path[-1])]} now"
    known = [field.alias or name for name, field in section.model_fields.items()]
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    return f"unknown key; {hint}"


def _section_at(section: type[BaseModel], key: str) -> tuple[type[BaseModel], bool]:
    """Return the model behind a key, and whether it is that of each name in a mapping.

    It is a section, an optional section, the items of a list of sections, or the values of a mapping.
    """
    [annotation] = [field.annotation for name, field in section.model_fields.items() if key in (name, field.alias)]
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate, get_origin(annotation) is dict
    raise TypeError(f"{key_path((key,))} holds no section")  # an unknown key is only ever found inside a section


def _nothings(data: Plain, path: KeyPath) -> Iterator[KeyPath]:
    if data is None:
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _nothings(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _nothings(value, (*path, index))


def _without_null(node: Any) -> Any:
    """Drop `null` from a schema: a key is left out rather than set to nothing."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = kept.get("anyOf", [])
    if {"type": "null"} in choices:
        others = [choice for choice in choices if choice != {"type": "null"}]
        kept = {key: value for key, value in kept.items() if key != "anyOf"}
        kept |= others[0] if len(others) == 1 else {"anyOf": others}
    return kept
