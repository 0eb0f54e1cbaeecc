"""Verbs as a user types them: in this process, or in one of their own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import streamlstm as package
from streamlstm.cli import main

# The verbs run in folders of their own, so a relative PYTHONPATH would no longer lead to the package under test.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).resolve().parents[1])}


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """A verb sets up logging for its process, which here is everybody's."""
    loggers = logging.getLogger(), logging.getLogger("kafka")
    handlers, levels = loggers[0].handlers, [logger.level for logger in loggers]
    loggers[0].handlers = []
    yield
    loggers[0].handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


class Verbs:
    """Runs verbs in a folder and keeps what they said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.said = ""

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Run a verb through `main`; return its exit code, and what it wrote to standard output and error."""
        self._monkeypatch.chdir(self.folder)
        self._monkeypatch.setattr(sys, "argv", ["streamlstm", *map(str, arguments)])
        with logging_as_it_was(), pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def good(self, *arguments: object) -> str:
        """Run a verb that must succeed; return all it wrote."""
        code, out, err = self.run(*arguments)
        assert code == 0, err
        return out + err

    def bad(self, *arguments: object, code: int) -> str:
        """Run a verb that must fail; return its one sentence."""
        found, _, err = self.run(*arguments)
        assert found == code, err
        [sentence] = [line for line in err.splitlines() if line.startswith("error: ")]
        return sentence.removeprefix("error: ")


def start(folder: Path, *arguments: object, stdout: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """Run a verb in a process of its own, which Ctrl-C reaches (of what a shell's `&` starts it is ignored)."""
    return subprocess.Popen(
        [sys.executable, "-m", "streamlstm", *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
