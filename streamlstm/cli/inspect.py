"""`inspect`: what a model bundle or the state in a local log holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from streamlstm.adapters.local_log import LocalSnapshots
from streamlstm.adapters.local_log.database import Database
from streamlstm.cli import app
from streamlstm.model.bundle import ModelBundle
from streamlstm.streaming.snapshot_format import decode_state

__all__ = ["inspect"]


_SQLITE = b"SQLite format 3\0"


@app.command(epilog="Example: streamlstm inspect vitals.safetensors")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE or STATE", help="Model bundle, or the file of a local log.")],
) -> None:
    """Say what a model bundle holds, after verifying it, or the snapshots in a local log."""
    if file.is_file() and file.open("rb").read(len(_SQLITE)) == _SQLITE:
        _print_states(file)
    else:
        _print_bundle(ModelBundle.load(file))


def _print_states(file: Path) -> None:
    database = Database(file)
    for group, place, committed in database.commits():
        oldest, end = database.partition(place).oldest, database.partition(place).end
        print(f"group {group}, {place.topic}-{place.partition}: committed {committed} of {oldest} to {end}")
        snapshots = LocalSnapshots(file, group=group)
        snapshot = snapshots.load(place)
        snapshots.close()
        if snapshot is None:
            print("  no snapshot")
            continue
        models, counts = decode_state(snapshot.payload)
        print(f"  snapshot at offset {snapshot.offset}, {len(snapshot.payload) / 1024:,.0f} KiB")
        for model in models:
            print(f"  {model.label}: {len(model.streams):,} streams, digest {model.digest[:16]}")
        for name, count in sorted(counts.items()):
            print(f"  {name:<28} {count:,}")
    database.close()


def _print_bundle(model: ModelBundle) -> None:
    a, calibration = model.network.architecture, model.calibration
    parameters = sum(w.size for layer in model.network.layers for w in (layer.w_ih, layer.w_hh, layer.bias))
    parameters += model.network.head_weight.size + model.network.head_bias.size
    rate = f"one sample every {model.period_s:g} s" if model.period_s > 0 else "unknown"
    lines = [
        ("model", f"{model.label}, made {model.created_at or 'at an unknown time'}"),
        ("digest", f"sha256 {model.digest} (verified)"),
        ("network", f"{a.cell}, {a.layers} layer(s) of {a.hidden}, forecast {a.forecast} samples"),
        ("trained", f"beside a reconstruction of the last {a.reconstruct} samples"),
        ("parameters", f"{parameters:,} ({4 * parameters / 1024:.0f} KiB)"),
        ("sampling", rate),
        ("warm-up", f"{calibration.warm_up} samples"),
        ("means", f"over {calibration.widths[0]:g} and {calibration.widths[1]:g} samples"),
        ("clusters", f"{calibration.cluster_rows:.1f} samples pass a high level together"),
        ("tail", f"shape {calibration.total_fit[0]:.3f}, scale {calibration.total_fit[1]:.3f}"),
    ]
    for name, value in lines:
        print(f"{name:<11} {value}")
    print("channel              unit         mean        scale   one-step error")
    units = model.units or ("",) * len(model.channels)
    for c, (name, unit) in enumerate(zip(model.channels, units, strict=True)):
        mean, scale = float(model.standardizer.mean[c]), float(model.standardizer.scale[c])
        error = float(calibration.scales[1, c]) * scale
        print(f"{name:<20} {unit:<6} {mean:>10.4g} {scale:>12.4g} {error:>16.4g}")
    for key, value in model.training.items():
        shown = f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else value
        print(f"training.{key}: {shown}")
