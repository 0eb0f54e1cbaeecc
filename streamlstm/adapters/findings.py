"""What the checks of both transports say of a topic."""

from __future__ import annotations

__all__ = ["described"]


def described(topic: str, partitions: int) -> str:
    """Return a topic with the number of its partitions."""
    return f"{topic} ({partitions} partition{'' if partitions == 1 else 's'})"
