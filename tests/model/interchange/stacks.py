"""What the tests of import and export share: a stack run from zero, and a bundle of any cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import CellKind, CellWeights, unroll
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.network import Architecture, Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.calibration import CalibrationSeries, calibrate

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
Array = NDArray[np.float32]


def run_stack(layers: Sequence[CellWeights], x: Array, head: tuple[Array, Array] | None = None) -> Array:
    """x [B, T, I] from a state of zero to [B, T, R], or what the head makes of it."""
    state = np.zeros((len(x), sum(layer.state_size for layer in layers)), np.float32)
    y = unroll(layers, np.ascontiguousarray(x.swapaxes(0, 1)), state=state).y.swapaxes(0, 1)
    return y if head is None else y @ head[0].T + head[1]


def signal(rows: int, channels: int, seed: int = 3) -> Array:
    """Rows in units of their own: other means, scales and phases by channel."""
    rng, t = np.random.default_rng(seed), np.arange(rows)[:, None]
    c = np.arange(channels)
    waves = np.sin(2 * np.pi * t / (20 + 3 * c) + c) + 0.3 * rng.normal(size=(rows, channels))
    return (10 * (c + 1) + (c + 2) ** 2 * waves).astype(np.float32)


def random_layers(cells: Sequence[str], *, inputs: int, hidden: int, projection: int = 0) -> tuple[CellWeights, ...]:
    rng, layers = np.random.default_rng(8), []
    for cell in cells:
        kind = CellKind(cell)
        p = projection if kind.has_cell else 0

        def normal(*shape: int) -> Array:
            return rng.normal(0, 0.4, shape).astype(np.float32)

        layers.append(
            CellWeights(
                kind,
                normal(kind.gates * hidden, inputs),
                normal(kind.gates * hidden, p or hidden),
                normal(kind.gates * hidden),
                normal(hidden) if kind is CellKind.GRU else None,
                normal(3, hidden) if kind is CellKind.PEEPHOLE else None,
                normal(p, hidden) if p else None,
            )
        )
        inputs = p or hidden
    return tuple(layers)


def random_bundle(
    cells: Sequence[str], *, channels: int = 3, hidden: int = 7, projection: int = 0, mask_inputs: bool = False
) -> ModelBundle:
    """Random layers and head, and a calibration on what they make of a signal."""
    layers = random_layers(cells, inputs=channels * (1 + mask_inputs), hidden=hidden, projection=projection)
    architecture = Architecture(channels, hidden, tuple(cells), 2, 1, projection, mask_inputs)
    rng, outputs = np.random.default_rng(9), layers[-1].output_size
    weight = rng.normal(0, 0.3, (architecture.head_outputs, outputs)).astype(np.float32)
    bias = rng.normal(0, 0.3, architecture.head_outputs).astype(np.float32)
    network = Network(architecture, layers, weight, bias)
    values = signal(600, channels)
    standardizer = Standardizer.fit(values[:300])
    calibration = calibrate(network, standardizer, [CalibrationSeries(values, 300)], period_rows=20)
    names = tuple("abcdefgh"[:channels])
    return ModelBundle(
        network=network,
        standardizer=standardizer,
        calibration=calibration,
        channels=names,
        period_s=2.0,
        name="random",
        version=4,
    )


def same_bits(layers: Sequence[CellWeights], others: Sequence[CellWeights]) -> bool:
    """Whether the kinds and all arrays are equal, bit for bit."""
    if [layer.kind for layer in layers] != [layer.kind for layer in others]:
        return False
    for layer, other in zip(layers, others, strict=True):
        for name in ("w_ih", "w_hh", "bias", "bias_hn", "peephole", "w_hr"):
            one, two = getattr(layer, name), getattr(other, name)
            if (one is None) != (two is None) or (one is not None and one.tobytes() != two.tobytes()):
                return False
    return True
