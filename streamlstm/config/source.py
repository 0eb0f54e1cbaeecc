"""YAML with a place for every value: line numbers, `${VAR}` and `${file:/path}`, and `--set a.b=c` on top.

The only file that reads YAML. It is read as JSON's data model (so `off` is a word, not false), without tags, anchors or
repeated keys. What a `${..}` stands for is never shown in a message.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, Union

import yaml

from streamlstm.errors import ConfigError

__all__ = ["Document", "KeyPath", "Origin", "Plain", "key_path", "read_document"]

Plain: TypeAlias = Union[str, int, float, bool, "list[Plain]", "dict[str, Plain]", None]
KeyPath: TypeAlias = tuple[str | int, ...]

_MAX_BYTES = 1_000_000
_REFERENCE = re.compile(r"\$\{(?:file:(?P<file>[^}]+)|(?P<variable>[A-Za-z_][A-Za-z0-9_]*))\}")
_INTEGER = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written, and its text there (None for mappings and lists)."""

    place: str
    text: str | None = None
    is_key: bool = False
    """The place names the key already, as an option of the command line does."""


@dataclass(slots=True)
class Document:
    """A configuration as plain data, with the origin of every key and the problems met so far, as finished lines."""

    name: str
    data: dict[str, Plain] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin:
        """Return the origin of `path`, or of its nearest parent (a key that is missing has none)."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, Origin(f"{self.name}:1"))

    def where(self, path: KeyPath) -> str:
        """Return place and key path of a value, as messages begin."""
        origin = self.origin(path)
        return f"{origin.place}: {key_path(path)}" if path and not origin.is_key else origin.place

    def report(self, path: KeyPath, detail: str) -> None:
        """Add a problem: place, key path, what was expected and what came."""
        self.problems.append(f"{self.where(path)}: {detail}")

    def set(self, assignment: str) -> None:
        """Apply one override, `a.b=value`. The value is YAML; list items count from 0: `sources.0.start=latest`."""
        dotted, equals, text = assignment.partition("=")
        place = f"--set {dotted}"
        keys = dotted.strip().split(".")
        if not equals or not all(keys):
            self.problems.append(f"{place}: expected KEY.KEY=VALUE")
            return
        try:
            node = _compose(text, place)
        except ConfigError as error:
            self.problems.append(str(error))
            return
        target: Plain = self.data
        path: KeyPath = ()
        for depth, key in enumerate(keys):
            is_last = depth == len(keys) - 1
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                path = (*path, int(key))
                target[int(key)] = self._replace(path, node, place) if is_last else target[int(key)]
                target = target[int(key)]
            elif isinstance(target, dict):
                path = (*path, key)
                if is_last or key not in target:
                    target[key] = self._replace(path, node, place) if is_last else {}
                target = target[key]
            else:
                known = f"items 0 to {len(target) - 1}" if isinstance(target, list) else "a single value"
                self.problems.append(f"{place}: {key_path(path)} has {known}, not {key!r}")
                return

    def assign(self, path: KeyPath, value: Plain, option: str) -> None:
        """Set a key to the value of a command-line option; sections on the way to it are made."""
        *sections, last = map(str, path)
        target = self.data
        for depth, key in enumerate(sections, 1):
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                self.report(path[:depth], f"expected keys, got a single value, to which {option} cannot be added")
                return
            target = inner
        self._forget(path)
        target[last] = value
        self.origins[path] = Origin(option, is_key=True)

    def _forget(self, path: KeyPath) -> None:
        for old in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[old]

    def _replace(self, path: KeyPath, node: yaml.Node | None, place: str) -> Plain:
        self._forget(path)
        return self.read(node, path, place) if node is not None else ""

    def read(self, node: yaml.Node, path: KeyPath, fixed_place: str | None = None) -> Plain:
        """Turn a node into plain data and note the origin of everything in it."""
        place = fixed_place or f"{self.name}:{node.start_mark.line + 1}"
        self.origins[path] = Origin(place, node.value if isinstance(node, yaml.ScalarNode) else None)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index), fixed_place) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        mapping: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in mapping:
                self.report((*path, key), f"is written twice, again on line {key_node.start_mark.line + 1}")
                continue
            mapping[key] = self.read(value_node, (*path, key), fixed_place)
            # A key's line is more use than the line of the first item below it.
            key_place = fixed_place or f"{self.name}:{key_node.start_mark.line + 1}"
            self.origins[(*path, key)] = Origin(key_place, self.origins[(*path, key)].text)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Plain:
        text: str = node.value
        if "${" in text:
            return self._substitute(text, path)
        if node.style is not None:
            return text
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else text

    def _substitute(self, text: str, path: KeyPath) -> str:
        if "${" in _REFERENCE.sub("", text):
            self.report(path, "expected ${VARIABLE} or ${file:/path} after a dollar sign and a brace")

        def value(match: re.Match[str]) -> str:
            if variable := match["variable"]:
                if variable not in os.environ:
                    self.report(path, f"the environment variable {variable} is not set")
                return os.environ.get(variable, "")
            try:
                return Path(match["file"]).read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                self.report(path, f"cannot read the file {match['file']}: {reason}")
                return ""

        return _REFERENCE.sub(value, text)


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises: ConfigError when there is no file, no YAML or no mapping in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path}: expected a configuration of at most {_MAX_BYTES} bytes, got {len(content)}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected UTF-8 text, got the byte 0x{content[error.start]:02x}") from None
    node = _compose(text, str(path))
    document = Document(str(path))
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: expected keys such as `sources:`, got {_kind(node)}")
    if node is not None:
        data = document.read(node, ())
        document.data = data if isinstance(data, dict) else {}
    return document


def key_path(path: KeyPath) -> str:
    """Write a path as `sources[0].ts.unit`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Loader(yaml.SafeLoader):
    """Refuses anchors' uses and tags: the one can make a file endless, the other has no meaning here."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        refused = "aliases (*name)" if isinstance(event, yaml.AliasEvent) else None
        if getattr(event, "tag", None) is not None:
            refused = "tags (!name)"
        if refused is not None:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=f"{refused} are not supported", problem_mark=mark)
        return super().compose_node(parent, index)


def _compose(text: str, name: str) -> yaml.Node | None:
    """Parse text. Raises: ConfigError with place and cause, but without the line itself, which may hold a password."""
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        cause = re.sub(r"(anchor|handle) .*", r"\1", error.problem or "not valid YAML")
        raise ConfigError(f"{place}: {cause}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{name}:{line}: expected printable text, got the character {error.character!r}") from None
    except RecursionError:
        raise ConfigError(f"{name}: expected a few levels of keys, got a nesting too deep to read") from None


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
