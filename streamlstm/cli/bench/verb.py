"""`bench`: its verbs."""

from __future__ import annotations

import typer

from streamlstm.cli.lazy_verbs import LazyVerbs, Verb

__all__ = ["VERBS", "verb"]

VERBS = {
    "kernel": Verb(
        "streamlstm.cli.bench.kernel",
        "Time one LSTM step of S streams, and whole blocks, next to every peer that is installed (extra `bench`).",
    ),
    "train": Verb(
        "streamlstm.cli.bench.train",
        "Time one update of training, 64 lanes of 128 steps, next to every peer that is installed (extra `bench`).",
    ),
    "state": Verb(
        "streamlstm.cli.bench.state",
        "Hold a million streams of (8,64,2): memory, random slots, claim and growth, all states out and in.",
    ),
    "threads": Verb(
        "streamlstm.cli.bench.threads",
        "Time steps on several threads against one, while the machine is idle and while other processes want its "
        "cores.",
    ),
    "accuracy": Verb(
        "streamlstm.cli.bench.accuracy",
        "Compare the scores and alerts in float32 with float16 states, bfloat16 products and other instruction sets.",
    ),
    "report": Verb("streamlstm.cli.bench.report", "Write a page (Markdown) from the JSON of one or more runs."),
}


class _Verbs(LazyVerbs):
    verbs = VERBS


verb = typer.Typer(cls=_Verbs, no_args_is_help=True, add_completion=False)


@verb.callback()
def bench() -> None:
    """Measure speed on this machine, beside the installed peers."""
