"""What every section of a configuration file is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["Section"]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, attributes may carry a unit that the key does not."""

    RENAMED: ClassVar[dict[str, str]] = {}
    """Keys of earlier versions, and what they are called now."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)
