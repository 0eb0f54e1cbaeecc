"""The units that time stamps which are numbers may have; apart from what reads them, which needs numpy."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["TimeUnit"]

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns"]
