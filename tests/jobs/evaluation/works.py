"""What processes are given to do. A process of its own imports this by name, which a test module has not got."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from waiting import PATIENCE_S

from streamlstm.errors import DataError


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    if number == 2:
        raise DataError("two")
    return number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def wait_for(path: Path) -> int:
    """Begin, and wait until the file is gone."""
    path.with_suffix(".begun").touch()
    deadline_s = time.monotonic() + PATIENCE_S
    while path.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return os.getpid()
