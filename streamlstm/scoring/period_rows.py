"""What stands for the period of a model's training data where that is none, or none that a fault could fill."""

from __future__ import annotations

__all__ = ["LONGEST_PERIOD_ROWS", "UNKNOWN_PERIOD_ROWS"]

UNKNOWN_PERIOD_ROWS = 64
"""As many samples stand for a period where none was found."""

LONGEST_PERIOD_ROWS = 400
"""A period beyond so many samples is most often a day, which no fault fills."""
