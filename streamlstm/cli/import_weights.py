"""`import`: weights of PyTorch, Keras and ONNX to a bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamlstm.cli.console.options import checked_seconds, split_names
from streamlstm.cli.console.output import check_file_target, check_target, print_note, print_result
from streamlstm.errors import UsageError

if TYPE_CHECKING:
    from streamlstm.recordings.series import Series

__all__ = ["import_weights", "verb"]


class Inputs(StrEnum):
    """What the foreign network was trained on."""

    STANDARDIZED = "standardized"
    RAW = "raw"


verb = typer.Typer(add_completion=False)


@verb.command("import", epilog="Example: streamlstm import lstm.pt --data normal.csv --out vitals.safetensors")
def import_weights(
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
    from streamlstm.cli.console.clock import created_at
    from streamlstm.jobs.training_data import training_values
    from streamlstm.model.interchange import read_layers
    from streamlstm.recordings.reading import read_series
    from streamlstm.training.importing import import_network

    check_file_target(out, inputs={"file of weights": file})
    if period is not None:
        checked_seconds("--period", period)
    foreign = read_layers(file, modules=split_names(layers), head=head)
    if not data:
        raise UsageError(
            f"--data: expected normal data to calibrate on, got none: {file} holds weights, and nothing says which "
            "errors are usual; give recordings of normal behaviour (--data normal.csv)"
        )
    for one in data:
        check_target("--out", out, inputs={"data": Path(one)})
    series = [one for source in data for one in read_series(source)]
    values = training_values(series, rows=None)
    picked = _columns(series[0], split_names(channels))
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


def _columns(series: Series, names: tuple[str, ...]) -> list[int]:
    """Return the columns of the named channels, of all by default."""
    for name in names:
        if name not in series.channels:
            raise UsageError(f"--channels: expected columns of the data ({', '.join(series.channels)}), got {name!r}")
    if len(set(names)) < len(names):
        raise UsageError(f"--channels: expected different columns, got {', '.join(names)}")
    return [series.channels.index(name) for name in names or series.channels]
