"""Which streams share a model, and what it is called: `per: all | stream | PATTERN | {name: pattern}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from streamlstm.errors import UsageError
from streamlstm.patterns import glob_to_regex
from streamlstm.recordings.series import Series

__all__ = ["Group", "group_series", "models_yaml"]

_LONGEST_NAME = 100
_LISTED = 5


class Group(NamedTuple):
    """Streams of one model. `matches` are the worker's patterns for it; the name is one that a file may have."""

    name: str
    matches: tuple[str, ...]
    series: list[Series]


def group_series(series: Sequence[Series], per: str | Mapping[str, str], *, place: str) -> list[Group]:
    """Share out the streams.

    A pattern such as `ward*` makes a group of each start of a stream id that matches it, with as many parts as the
    pattern has; names with patterns are tried in their order. `place` is where `per` was written.
    Raises: UsageError for a stream that belongs nowhere, and for a pattern without streams.
    """
    if per == "stream":
        found = {one.stream_id: [one] for one in series}
        return [Group(name, (stream_id,), of) for name, (stream_id, of) in _named(found).items()]
    if isinstance(per, str):
        return _by_start(series, per, place)
    sorted_out: dict[str, list[Series]] = {name: [] for name in per}
    patterns = {name: glob_to_regex(pattern) for name, pattern in per.items()}
    homeless: list[Series] = []
    for one in series:
        home = next((name for name, pattern in patterns.items() if pattern.fullmatch(one.stream_id)), None)
        (homeless if home is None else sorted_out[home]).append(one)
    if homeless:
        raise UsageError(f'{place}: expected a pattern for every stream, got none for {_listed(homeless)}; rest: "**"?')
    for name, of in sorted_out.items():
        if not of:
            raise UsageError(f"{place}: {name}: expected streams that match {per[name]!r}, got {_listed(series)}")
    return [Group(file, (per[name],), of) for file, (name, of) in _named(sorted_out).items()]


def models_yaml(bundles: Iterable[tuple[Sequence[str], str]]) -> str:
    """Return the `models:` lines of a worker's configuration: patterns and bundle of each model."""
    lines = ["models:"]
    for matches, bundle in bundles:
        lines += [f"  - {{match: {_quoted(match)}, bundle: {_quoted(bundle)}}}" for match in matches]
    return "\n".join(lines) + "\n"


def _by_start(series: Sequence[Series], pattern: str, place: str) -> list[Group]:
    start = re.sub(r"/(\*\*)?$", "", pattern)  # ward*/ and ward*/** mean the same starts
    if "**" in start:
        raise UsageError(f"{place}: expected a pattern of whole parts such as ward* or site*/ward*, got {pattern!r}")
    regex, parts = glob_to_regex(start), start.count("/") + 1
    found: dict[str, list[Series]] = {}
    homeless: list[Series] = []
    for one in series:
        begin = "/".join(one.stream_id.split("/")[:parts])
        if regex.fullmatch(begin):
            found.setdefault(begin, []).append(one)
        else:
            homeless.append(one)
    if homeless:
        expected = f"expected stream ids that begin with {start!r} (or all, or stream)"
        raise UsageError(f"{place}: {expected}, got {_listed(homeless)}")
    groups = []
    for name, (begin, of) in _named(found).items():
        ids = {one.stream_id for one in of}
        matches = ((begin,) if begin in ids else ()) + ((f"{begin}/**",) if ids != {begin} else ())
        groups.append(Group(name, matches, of))
    return groups


def _named(found: Mapping[str, list[Series]]) -> dict[str, tuple[str, list[Series]]]:
    """Give each a name that a file may have: other characters become a dash, and what is taken is numbered."""
    named: dict[str, tuple[str, list[Series]]] = {}
    for key, of in found.items():
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip(".-")[:_LONGEST_NAME] or "stream"
        name, number = stem, 2
        while name.lower() in {taken.lower() for taken in named}:
            name, number = f"{stem}-{number}", number + 1
        named[name] = (key, of)
    return named


def _listed(series: Sequence[Series]) -> str:
    names = [repr(one.stream_id) for one in series[:_LISTED]]
    return ", ".join(names) + (f" and {len(series) - _LISTED} more" if len(series) > _LISTED else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
