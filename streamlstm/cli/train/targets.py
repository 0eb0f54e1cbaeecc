"""Where `train` writes, looked at before it reads or trains anything."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from streamlstm.cli.console.output import check_target
from streamlstm.errors import UsageError
from streamlstm.jobs.training import ModelFiles

__all__ = ["CheckpointChoice", "check_files", "check_out"]


class CheckpointChoice(Enum):
    """What to do with the checkpoint of a training that was interrupted."""

    REFUSE = None
    RESUME = True
    ANEW = False


def check_out(out: Path, place: str, *, is_one: bool) -> None:
    """Refuse what cannot be a bundle, or a folder of several. Raises: UsageError."""
    if not out.parent.is_dir():
        raise UsageError(f"{place}: the folder {out.parent} does not exist")
    if is_one and out.exists() and not out.is_file():
        # A device would be replaced by the bundle, a folder refused at the end.
        raise UsageError(f"{place}: expected a file, got {out}, which is a folder or a device")
    if not is_one and out.exists() and not out.is_dir():
        raise UsageError(f"{place}: expected a folder for several models, got {out}, which is none")


def check_files(files: ModelFiles, *, sources: set[str], start: CheckpointChoice) -> None:
    """Refuse to write over data, or over the checkpoint of a training that can be gone on with. Raises: UsageError."""
    written = {"--out": files.bundle, "--report": files.report, "--log": files.log}
    for option, file in written.items():
        if file is not None:
            for source in sources:
                check_target(option, file, inputs={"data": Path(source)})
    if start is CheckpointChoice.REFUSE and files.checkpoint.exists():
        raise UsageError(
            f"{files.checkpoint} is of a training that was interrupted; go on with it (--resume) or begin anew (--anew)"
        )
