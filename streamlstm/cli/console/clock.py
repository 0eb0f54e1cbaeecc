"""The time at which a bundle is made: read here and nowhere below, where time is an argument."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from streamlstm.errors import UsageError

__all__ = ["created_at"]


def created_at() -> str:
    """Return the time, or SOURCE_DATE_EPOCH, with which a bundle has the same bytes whenever it is made.

    Raises: UsageError.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {epoch!r}") from None
    return moment.isoformat(timespec="seconds")
