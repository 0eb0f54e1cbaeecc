"""Patterns over stream ids: `*` and `?` match within one part, `**` across parts; parts are separated by `/`."""

from __future__ import annotations

import re

__all__ = ["glob_to_regex"]

_TOKENS = re.compile(r"\*\*|\*|\?|[^*?]+")


def glob_to_regex(pattern: str) -> re.Pattern[str]:
    """Compile a glob over stream ids."""
    wild = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(token) or re.escape(token) for token in _TOKENS.findall(pattern)), re.DOTALL)
