"""The command `streamlstm`: its verbs, each loaded when it is called, and how an error ends it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from streamlstm._version import __version__
from streamlstm.cli.console.output import flush_standard_output, print_result
from streamlstm.cli.lazy_verbs import LazyVerbs, Verb
from streamlstm.errors import StreamLstmError, UsageError

__all__ = ["VERBS", "app", "main"]


VERBS = {
    "demo": Verb(
        "streamlstm.cli.demo.verb",
        "Train on the clean part of telemetry, run the worker on the rest, and report which faults it found.",
    ),
    "train": Verb(
        "streamlstm.cli.train.verb",
        "Train a model on recordings of normal behaviour (an NPZ with train_len: on the rows before it).",
    ),
    "score": Verb(
        "streamlstm.cli.score.verb",
        "Score a recording, row by row and causally, and show where alerts would have opened.",
    ),
    "explain": Verb(
        "streamlstm.cli.explain.verb",
        "Say why the detector spoke at a time, or did not, and draw what it saw and expected.",
    ),
    "evaluate": Verb(
        "streamlstm.cli.evaluate.verb",
        "Measure how well anomalies are found: train on each warm-up, score the rest as the worker does, judge it.",
    ),
    "run": Verb(
        "streamlstm.cli.run",
        "Run the worker: consume telemetry, publish scores and alerts, until SIGTERM or Ctrl-C.",
    ),
    "check": Verb(
        "streamlstm.cli.check",
        "Validate the configuration, the bundles and access to the log, without starting.",
    ),
    "inspect": Verb(
        "streamlstm.cli.inspect.verb",
        "Verify a model bundle and show what it holds, or show the snapshots in a local log.",
    ),
    "replay": Verb(
        "streamlstm.cli.replay",
        "Publish recorded telemetry in the order of event time.",
    ),
    "retrain": Verb(
        "streamlstm.cli.retrain",
        "Train on recent telemetry, and publish the model if it is better than the one in use.",
    ),
    "models": Verb(
        "streamlstm.cli.models",
        "List the versions that retraining has published, or go back to one of them.",
    ),
    "import": Verb(
        "streamlstm.cli.import_weights",
        "Make a bundle from recurrent layers that another framework trained.",
    ),
    "export": Verb(
        "streamlstm.cli.export_weights",
        "Write a bundle's network for PyTorch, or as an ONNX graph whose state is explicit.",
    ),
    "bench": Verb("streamlstm.cli.bench.verb", "Measure speed on this machine, beside the installed peers."),
}
"""In the order in which people meet them."""


class _Verbs(LazyVerbs):
    verbs = VERBS


_WORDINGS = (
    (re.compile(r"\. +(?=[A-Z])"), "; "),
    (re.compile(r"\(Possible options: "), "(near it: "),
    (re.compile(r": (Value error, )?Input should be "), ": expected "),
    (re.compile(r": Value error, "), ": "),
)
"""Of messages of typer, and of pydantic, which checks its values; and how they read in one sentence."""

app = typer.Typer(
    name="streamlstm",
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print_result(f"streamlstm {__version__}")
        raise typer.Exit


@app.callback()
def streamlstm(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Streaming anomaly detection: an LSTM whose state is carried, one step for each sample."""


def main() -> None:
    """Run the command line. Exit codes: 0 good, 1 failed, 2 usage or configuration, 130 interrupted."""
    try:
        try:
            code = app(prog_name="streamlstm", standalone_mode=False)  # typer would draw a box around its errors
        finally:
            flush_standard_output()
        sys.exit(code)
    except KeyboardInterrupt:  # while a verb is looked up, or its last lines are written: within it typer returns 130
        sys.exit(130)
    except typer.Abort:  # what typer makes of an EOFError
        _fail("the input has ended, and more was expected", 1)
    except typer.TyperException as error:
        _fail(_usage_sentence(error), error.exit_code)
    except BrokenPipeError:  # the reader has seen enough
        sys.exit(1)
    except StreamLstmError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # where nobody has said more about it
        _fail(f"{error.filename or 'a file or a connection'}: {error.strerror or error}", 1)
    except MemoryError as error:
        _fail(f"not enough memory: {error or 'no amount named'}; use fewer rows or a smaller model", 1)


def _usage_sentence(error: typer.TyperException) -> str:
    """Return typer's message as one sentence that says where to look further; nothing where help was shown already."""
    message = " ".join(error.format_message().split()).rstrip(".")
    for pattern, ours in _WORDINGS:
        message = pattern.sub(ours, message)
    context = getattr(error, "ctx", None)
    see = f" (see {context.command_path} --help)" if message and context else ""
    return message[:1].lower() + message[1:] + see


def _fail(message: str, code: int) -> NoReturn:
    if message and sys.stderr is not None:  # print would take standard output for a closed standard error
        print(f"error: {message}", file=sys.stderr)
    with suppress(StreamLstmError, OSError):  # a full disk has been told of already
        flush_standard_output()
    sys.exit(code)
