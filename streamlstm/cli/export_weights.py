"""`export`: a bundle's weights for PyTorch, or as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamlstm.cli.console.output import check_file_target, print_result
from streamlstm.errors import UsageError

__all__ = ["export_weights", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm export vitals.safetensors --out vitals.onnx")
def export_weights(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle.")],
    out: Annotated[Path, typer.Option(help="FILE.safetensors with PyTorch's names, or FILE.onnx.")],
) -> None:
    """Write a bundle's network for PyTorch, or as an ONNX graph whose state is explicit."""
    from streamlstm.model.bundles.causal import ModelBundle
    from streamlstm.model.interchange import write_onnx, write_pytorch
    from streamlstm.scoring.forward import INPUT_LIMIT

    check_file_target(out, inputs={"bundle": bundle})
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
