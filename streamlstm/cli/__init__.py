"""The command line: reads configuration, builds the objects, runs them. One file a group of verbs."""

from __future__ import annotations

import sys

import typer

from streamlstm.errors import StreamLstmError, UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    name="streamlstm",
    help="Streaming anomaly detection: an LSTM whose state is carried, one step a sample.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line. Exit codes: 0 good, 1 failed, 2 usage or configuration, 130 interrupted."""
    from streamlstm.cli import demo, inspect, replay, run, score, train  # noqa: F401 (each registers its verbs)

    try:
        app()
    except StreamLstmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
