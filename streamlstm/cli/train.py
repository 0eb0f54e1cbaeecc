"""`train`: recorded files to a model bundle, with progress and a report of what was chosen."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from streamlstm.cli import app
from streamlstm.cli.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.output import check_target, say
from streamlstm.cli.progress import Progress
from streamlstm.cli.seconds import checked_seconds
from streamlstm.errors import DataError, UsageError
from streamlstm.kernels import CellKind
from streamlstm.training.datasets import Series, read_series
from streamlstm.training.fit import train as fit_bundle
from streamlstm.training.trainer import Progress as TrainingProgress

__all__ = ["train", "training_values"]


@app.command(epilog="Example: streamlstm train ward.csv --out models/vitals.safetensors --name vitals")
def train(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="CSV, JSON lines or NPZ; several files make one model.")
    ],
    out: Annotated[Path, typer.Option(help="Where the bundle goes.")] = Path("model.safetensors"),
    name: Annotated[str | None, typer.Option(help="Name of the model; the file's by default.")] = None,
    version: Annotated[int, typer.Option(min=1, help="Version of the model.")] = 1,
    rows: Annotated[int | None, typer.Option(min=1, help="Train on the first rows of each stream only.")] = None,
    period: Annotated[
        float | None, typer.Option(min=0, help="Seconds between samples; from the data by default.")
    ] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Hidden units; 32 by default.")] = None,
    cell: Annotated[
        str,
        typer.Option(help=f"Recurrent cell: {', '.join(CellKind)}; comma separated for one a layer, the lowest first."),
    ] = "lstm",
    layers: Annotated[int | None, typer.Option(min=1, help="Layers; 1 by default, or as many as cells.")] = None,
    projection: Annotated[
        int, typer.Option(min=0, help="Outputs that the LSTM kinds' hidden units are projected to; 0 = none.")
    ] = 0,
    forecast: Annotated[int | None, typer.Option(min=1, help="Samples ahead that are forecast; 16 by default.")] = None,
    reconstruct: Annotated[
        int | None, typer.Option(min=1, help="Samples back that are rebuilt; a period by default.")
    ] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="Most updates of the weights.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights, bit for bit.")] = 1,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train a model on recordings of normal behaviour (an NPZ with train_len: on the rows before it)."""
    configure_logging(log_format)
    if not out.parent.is_dir():
        raise UsageError(f"--out: the folder {out.parent} does not exist")
    if out.exists() and not out.is_file():  # a device would be replaced by the bundle, a folder refused at the end
        raise UsageError(f"--out: expected a file, got {out}, which is a folder or a device")
    for file in data:
        check_target("--out", out, inputs={"data": Path(file)})
    if period is not None:
        checked_seconds("--period", period)
    series = [one for file in data for one in read_series(file)]
    values = training_values(series, rows=rows)
    longest = max(map(len, values.values()))
    for option, samples in (("--forecast", forecast), ("--reconstruct", reconstruct)):
        if samples is not None and samples >= longest:
            raise UsageError(f"{option}: expected less than the {longest} rows there are to train on, got {samples}")
    period_s = series[0].period_s if period is None else period
    began = time.monotonic()
    with Progress("train") as progress:

        def on_progress(at: TrainingProgress) -> None:
            losses = f"loss {at.loss:.4f}, validation {at.validation_loss:.4f}"
            detail = f"{losses}, {at.rows_per_second:,.0f} rows/s, {at.seconds_left:.0f} s left"
            progress.update(at.update, at.of, detail)

        bundle = fit_bundle(
            values,
            period_s=period_s,
            channels=series[0].channels,
            name=name or out.stem,
            version=version,
            seed=seed,
            hidden=hidden,
            cell=cell,
            layers=layers,
            projection=projection,
            forecast=forecast,
            reconstruct=reconstruct,
            max_updates=updates,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            on_progress=on_progress,
            on_choice=lambda sentence: print(f"  {sentence}", file=sys.stderr),
        )
    bundle.save(out)
    count = sum(map(len, values.values()))
    say(
        f"{out}: {bundle.label}, {len(bundle.channels)} channels, trained on {count:,} rows of {len(values)} stream(s) "
        f"in {time.monotonic() - began:.1f} s; {bundle.training['updates']} updates, "
        f"validation loss {bundle.training['validation_loss']:.4f}"
    )


def training_values(
    series: list[Series], *, rows: int | None
) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Return the rows to train on by stream: before `train_len` where the file says so, and the first `rows` at most.

    Raises: DataError when files disagree about their channels.
    """
    values = {}
    for number, one in enumerate(series):
        if one.channels != series[0].channels:
            raise DataError(
                f"{one.stream_id}: expected the channels of the first stream {list(series[0].channels)}, "
                f"got {list(one.channels)}"
            )
        key = one.stream_id if one.stream_id not in values else f"{one.stream_id}#{number}"
        end = min(len(one.values), one.train_len or len(one.values), rows or len(one.values))
        values[key] = one.values[:end]
    return values
