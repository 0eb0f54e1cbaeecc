"""The command `streamlstm`: its verbs, and how an error ends it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from streamlstm.cli.console.output import flush_standard_output
from streamlstm.errors import StreamLstmError, UsageError

__all__ = ["app", "main"]

_ORDER = (
    "demo",
    "train",
    "score",
    "run",
    "check",
    "inspect",
    "replay",
    "retrain",
    "models",
    "import",
    "export",
    "bench",
)


class _Verbs(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="streamlstm",
    cls=_Verbs,
    help="Streaming anomaly detection: an LSTM whose state is carried, one step for each sample.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line. Exit codes: 0 good, 1 failed, 2 usage or configuration, 130 interrupted."""
    from streamlstm.cli import (  # noqa: F401 (each registers its verbs)
        bench,
        inspect,
        interchange,
        replay,
        retrain,
        run,
        score,
    )
    from streamlstm.cli.demo import verb as demo  # noqa: F401
    from streamlstm.cli.train import verb as train  # noqa: F401

    try:
        try:
            app()
        finally:
            flush_standard_output()
    except BrokenPipeError:  # the reader has seen enough
        sys.exit(1)
    except StreamLstmError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except MemoryError as error:
        _fail(f"not enough memory: {error or 'no amount named'}; use fewer rows or a smaller model", 1)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    with suppress(StreamLstmError, OSError):  # a full disk has been told of already
        flush_standard_output()
    sys.exit(code)
