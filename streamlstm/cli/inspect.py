"""`inspect`: what a model bundle or the state in a local log holds."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from streamlstm.adapters.local_log import LocalSnapshots
from streamlstm.adapters.local_log.database import Database
from streamlstm.cli.app import app
from streamlstm.cli.console.output import print_result
from streamlstm.errors import DataError
from streamlstm.kernels import CELL_FIELDS
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle, is_window_bundle
from streamlstm.model.network import Network
from streamlstm.model.windows.network import WindowNetwork
from streamlstm.scoring.alerts import AlertPolicy, AlertTracker
from streamlstm.scoring.branches.known import network_residuals_of
from streamlstm.streaming.state_format import decode_state
from streamlstm.types import TopicPartition

__all__ = ["inspect"]


_SQLITE = b"SQLite format 3\0"


@app.command(epilog="Example: streamlstm inspect vitals.safetensors")
def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="BUNDLE or STATE", help="A model bundle, or the file of a local log.")
    ],
) -> None:
    """Verify a model bundle and show what it holds, or show the snapshots in a local log."""
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    if head == _SQLITE:
        _print_states(file)
    elif is_window_bundle(file):
        _print_window_bundle(WindowBundle.load(file))
    else:
        _print_bundle(ModelBundle.load(file))


def _print_states(file: Path) -> None:
    print_result(f"local log   {file}, {file.stat().st_size / 1024:,.0f} KiB")
    with closing(Database(file)) as database:
        commits = database.commits()
        if not commits:
            print_result("no group has committed an offset yet")
        for group, place, committed in commits:
            partition = database.partition(place)
            where = f"committed {committed} of {partition.oldest} to {partition.end}"
            print_result(f"group {group}, {place.topic}-{place.partition}: {where}")
            _print_snapshot(file, group, place)


def _print_snapshot(file: Path, group: str, place: TopicPartition) -> None:
    with closing(LocalSnapshots(file, group=group)) as snapshots:
        snapshot = snapshots.load(place)
    if snapshot is None:
        print_result("  no snapshot")
        return
    models, counts = decode_state(snapshot.payload)
    print_result(f"  snapshot at offset {snapshot.offset}, {len(snapshot.payload) / 1024:,.0f} KiB")
    for model in models:
        tracker = AlertTracker(AlertPolicy(), model=model.label, channels=())
        try:
            tracker.import_state(bytes(model.alerts))
        except msgspec.DecodeError as error:
            raise DataError(
                f"{file}: {model.label}: expected the alerts of this release, got others ({error})"
            ) from error
        open_alerts = f"{len(tracker.open_alerts):,} open alerts"
        print_result(f"  {model.label}: {len(model.streams):,} streams, {open_alerts}, digest {model.digest[:16]}")
    for name, count in sorted(counts.items()):
        print_result(f"  {name:<28} {count:,}")


def _print_bundle(model: ModelBundle) -> None:
    a, calibration = model.network.architecture, model.calibration
    residuals = network_residuals_of(model)
    parameters = _parameters(model.network)
    projected = f" projected to {a.projection}" if a.projection else ""
    _print_lines(
        model,
        [
            (
                "network",
                f"{', '.join(a.cells)}, {a.layers} layer(s) of {a.hidden}{projected}, forecast {a.forecast} samples",
            ),
            ("trained", f"beside a reconstruction of the last {a.reconstruct} samples"),
            ("parameters", f"{parameters:,} ({4 * parameters / 1024:.0f} KiB)"),
            ("sampling", _rate(model.period_s)),
            ("warm-up", f"{calibration.warm_up} samples"),
            ("means", f"over {residuals.widths[0]:g} and {residuals.widths[1]:g} samples"),
            ("clusters", f"{calibration.cluster_rows:.1f} samples in a row pass a high level"),
            ("tail", f"shape {calibration.total.shape:.3f}, scale {calibration.total.scale:.3f}"),
        ],
    )
    _print_channels(model, "one-step error", residuals.scales[1])


def _print_window_bundle(model: WindowBundle) -> None:
    a, calibration = model.network.architecture, model.calibration
    parameters = _parameters(model.network)
    _print_lines(
        model,
        [
            ("network", f"{a.arrangement}: {', '.join(a.cells)}, {len(a.cells)} layer(s) of {a.hidden}"),
            ("scores", f"recordings only, whole windows of {a.rows} samples; a worker refuses it"),
            ("parameters", f"{parameters:,} ({4 * parameters / 1024:.0f} KiB)"),
            ("sampling", _rate(model.period_s)),
            ("mean", f"over {calibration.width} samples"),
            ("clusters", f"{calibration.cluster_rows:.1f} samples in a row pass a high level"),
            ("tail", f"shape {calibration.fit[0]:.3f}, scale {calibration.fit[1]:.3f}"),
        ],
    )
    _print_channels(model, "error", calibration.scales)


def _parameters(network: Network | WindowNetwork) -> int:
    arrays = (getattr(layer, name) for layer in network.layers for name in CELL_FIELDS)
    parameters = sum(array.size for array in arrays if array is not None)
    return int(parameters + network.head_weight.size + network.head_bias.size)


def _rate(period_s: float) -> str:
    return f"one sample every {period_s:g} s" if period_s > 0 else "unknown"


def _print_lines(model: ModelBundle | WindowBundle, lines: list[tuple[str, str]]) -> None:
    print_result(f"{'model':<11} {model.label}, made {model.created_at or 'at an unknown time'}")
    print_result(f"{'digest':<11} sha256 {model.digest} (verified)")
    for name, value in lines:
        print_result(f"{name:<11} {value}")


def _print_channels(model: ModelBundle | WindowBundle, error_name: str, scales: NDArray[np.float32]) -> None:
    print_result(f"channel              unit         mean        scale   {error_name:>14}")
    units = model.units or ("",) * len(model.channels)
    for c, (name, unit) in enumerate(zip(model.channels, units, strict=True)):
        mean, scale = float(model.standardizer.mean[c]), float(model.standardizer.scale[c])
        print_result(f"{name:<20} {unit:<6} {mean:>10.4g} {scale:>12.4g} {float(scales[c]) * scale:>16.4g}")
    for key, value in model.training.items():
        shown = f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else value
        print_result(f"training.{key}: {shown}")
