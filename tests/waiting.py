"""How long tests wait for what must happen: long enough for a machine with ten times the work that it can do.

Nothing waits that long where all goes well, and nothing fails for being slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 150.0


def wait_until(is_there: Callable[[], object], what: str = "it", *, every_s: float = 0.05) -> None:
    """Return once `is_there()` is true; fail when it has not become so in PATIENCE_S."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_there():
        assert time.monotonic() < deadline_s, f"{what} did not come in {PATIENCE_S:.0f} s"
        time.sleep(every_s)
