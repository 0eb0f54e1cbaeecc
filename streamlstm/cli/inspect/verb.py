"""`inspect`: its argument, and which kind of file it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.errors import DataError

__all__ = ["inspect", "verb"]

_SQLITE = b"SQLite format 3\0"

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm inspect vitals.safetensors")
def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="BUNDLE or STATE", help="A model bundle, or the file of a local log.")
    ],
) -> None:
    """Verify a model bundle and show what it holds, or show the snapshots in a local log."""
    from streamlstm.cli.inspect.bundles import print_bundle, print_window_bundle
    from streamlstm.cli.inspect.states import print_states
    from streamlstm.model.bundles.causal import ModelBundle
    from streamlstm.model.bundles.window import WindowBundle, is_window_bundle

    try:
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    if head == _SQLITE:
        print_states(file)
    elif is_window_bundle(file):
        print_window_bundle(WindowBundle.load(file))
    else:
        print_bundle(ModelBundle.load(file))
