"""What a model bundle holds, in lines."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamlstm.cli.console.output import print_result
from streamlstm.cli.inspect.power import print_power
from streamlstm.evaluation.power.power import POWER_KEY
from streamlstm.kernels import CELL_FIELDS
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.network import Network
from streamlstm.model.windows.network import WindowNetwork
from streamlstm.scoring.branches.known import network_residuals_of

__all__ = ["print_bundle", "print_window_bundle"]


def print_bundle(model: ModelBundle) -> None:
    """Print a causal model."""
    a, calibration = model.network.architecture, model.calibration
    residuals = network_residuals_of(model)
    parameters = _parameters(model.network)
    _print_lines(
        model,
        [
            ("network", a.summary),
            ("trained", f"beside a reconstruction of the last {a.reconstruct} samples"),
            ("parameters", f"{parameters:,} ({4 * parameters / 1024:.0f} KiB)"),
            ("sampling", _rate(model.period_s)),
            ("warm-up", f"{calibration.warm_up} samples"),
            ("means", f"over {', '.join(f'{width:g}' for width in residuals.widths)} samples"),
            ("clusters", f"{calibration.cluster_rows:.1f} samples in a row pass a high level"),
            ("tail", f"shape {calibration.total.shape:.3f}, scale {calibration.total.scale:.3f}"),
        ],
    )
    _print_channels(model, "one-step error", residuals.scales[1])
    print_power(model)


def print_window_bundle(model: WindowBundle) -> None:
    """Print a whole-window model."""
    a, calibration = model.network.architecture, model.calibration
    parameters = _parameters(model.network)
    _print_lines(
        model,
        [
            ("network", a.summary),
            ("scores", "recordings only; a worker refuses it"),
            ("power", "not measured: it opens no alerts as samples come"),
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
        if key == POWER_KEY:
            continue
        shown = f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else value
        print_result(f"training.{key}: {shown}")
