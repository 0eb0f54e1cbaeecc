"""What a verb knows of now and here, read at the edge: below, time is an argument."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from streamlstm.errors import UsageError

__all__ = ["created_at", "lock_holder"]


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


def lock_holder() -> str:
    """Return who holds a registry's lock, as another process is told."""
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"process {os.getpid()} on {platform.node()} since {since}"
