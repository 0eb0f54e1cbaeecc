"""`import` and `export`: weights of PyTorch, Keras and ONNX to a bundle, and a bundle's weights to them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from streamlstm.cli.app import app
from streamlstm.cli.console.clock import created_at
from streamlstm.cli.console.options import checked_seconds
from streamlstm.cli.console.output import check_target, print_note, print_result
from streamlstm.errors import UsageError
from streamlstm.jobs.training_data import training_values
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.interchange import read_layers, write_onnx, write_pytorch
from streamlstm.recordings.reading import Series, read_series
from streamlstm.scoring.forward import INPUT_LIMIT
from streamlstm.training.importing import import_network

__all__ = ["export", "import_"]


class Inputs(StrEnum):
    """What the foreign network was trained on."""

    STANDARDIZED = "standardized"
    RAW = "raw"


@app.command("import", epilog="Example: streamlstm import lstm.pt --data normal.csv --out vitals.safetensors")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="PyTorch (.safetensors, .pt), Keras (.weights.h5, .keras) or .onnx."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Normal data to calibrate on, as for train; may repeat."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The bundle to write.")] = Path("model.safetensors"),
    name: Annotated[
        str | None, typer.Option(help="Name of the model; by default the name of the file in --out.")
    ] = None,
    version: Annotated[int, typer.Option(min=1, help="Version of the model.")] = 1,
    channels: Annotated[
        str | None, typer.Option(help="Columns of the data in the order of the network's inputs, comma separated.")
    ] = None,
    inputs: Annotated[
        Inputs, typer.Option(help="Whether the network was trained on standardized values or on raw ones.")
    ] = Inputs.STANDARDIZED,
    layers: Annotated[
        str | None, typer.Option(help="Recurrent modules in the file, comma separated, the lowest first.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="A linear layer in the file to use as head; by default a head is fitted on the data."),
    ] = None,
    forecast: Annotated[int | None, typer.Option(min=1, help="How many samples ahead the head forecasts.")] = None,
    period: Annotated[
        float | None, typer.Option(min=0, help="Seconds between samples; taken from the data by default.")
    ] = None,
) -> None:
    """Make a bundle from recurrent layers that another framework trained."""
    _check_out(out, inputs={"file of weights": file})
    if period is not None:
        checked_seconds("--period", period)
    foreign = read_layers(file, modules=_names(layers), head=head)
    if not data:
        raise UsageError(
            f"--data: expected normal data to calibrate on, got none: {file} holds weights, and nothing says which "
            "errors are usual; give recordings of normal behaviour (--data normal.csv)"
        )
    for one in data:
        check_target("--out", out, inputs={"data": Path(one)})
    series = [one for source in data for one in read_series(source)]
    values = training_values(series, rows=None)
    picked = _columns(series[0], _names(channels))
    bundle = import_network(
        foreign,
        {key: rows[:, picked] for key, rows in values.items()},
        channels=[series[0].channels[column] for column in picked],
        period_s=series[0].period_s if period is None else period,
        is_raw=inputs is Inputs.RAW,
        has_head=head is not None,
        forecast=forecast,
        name=name or out.stem,
        version=version,
        created_at=created_at(),
        on_choice=lambda sentence: print_note(f"  {sentence}"),
    )
    bundle.save(out)
    cells = ", ".join(f"{one.kind.value} {one.input_size}->{one.output_size}" for one in foreign.layers)
    rows = sum(map(len, values.values()))
    print_result(f"{out}: {bundle.label}, {cells} from {file}, fitted to {rows:,} rows of {len(values)} stream(s)")


@app.command(epilog="Example: streamlstm export vitals.safetensors --out vitals.onnx")
def export(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle.")],
    out: Annotated[Path, typer.Option(help="FILE.safetensors with PyTorch's names, or FILE.onnx.")],
) -> None:
    """Write a bundle's network for PyTorch, or as an ONNX graph whose state is explicit."""
    _check_out(out, inputs={"bundle": bundle})
    suffix = out.suffix.lower()
    if suffix not in (".safetensors", ".onnx"):
        raise UsageError(f"--out: expected FILE.safetensors (PyTorch's names) or FILE.onnx, got {out}")
    model = ModelBundle.load(bundle)
    if suffix == ".onnx":
        write_onnx(model, out, input_limit=INPUT_LIMIT)
    else:
        write_pytorch(model, out)
    cells = ", ".join(model.network.architecture.cells)
    print_result(f"{out}: {cells} of {model.label}, {out.stat().st_size / 1024:,.0f} KiB")


def _check_out(out: Path, *, inputs: dict[str, Path]) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"--out: the folder {out.parent} does not exist")
    if out.exists() and not out.is_file():
        raise UsageError(f"--out: expected a file, got {out}, which is a folder or a device")
    check_target("--out", out, inputs=inputs)


def _names(option: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in option.split(",")) if option else ()


def _columns(series: Series, names: tuple[str, ...]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the columns of the named channels, of all by default."""
    for name in names:
        if name not in series.channels:
            raise UsageError(f"--channels: expected columns of the data ({', '.join(series.channels)}), got {name!r}")
    if len(set(names)) < len(names):
        raise UsageError(f"--channels: expected different columns, got {', '.join(names)}")
    return np.array([series.channels.index(name) for name in names or series.channels], np.intp)
