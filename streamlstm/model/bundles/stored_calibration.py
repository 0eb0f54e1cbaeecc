"""How a calibration stands in a bundle: arrays by the names of branches and parts, numbers in the manifest.

    branches.BRANCH.ARRAY                     a branch's own fitted numbers
    tails.PART.statistic | surprise | fit     the tail of each part; fit is shape and scale
    total.statistic | surprise | fit          the tail of their weighted sum
    runs.ARRAY                                how long channels may keep one value, or have none
    usual.ARRAY                               where windows of the streams lie

The manifest lists branches and parts, since their order counts, and the parts' weights: all 1 where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels.faces import check_array
from streamlstm.model.bundles.manifest import CalibrationEntry
from streamlstm.model.calibration import Calibration, Tail

__all__ = ["read_calibration", "read_calibration_2", "stored"]

Arrays = Mapping[str, NDArray[Any]]

_NUMBERS = ("rows", "cluster_rows", "burn_in", "warm_up", "horizon")
_RUNS = "runs."
_USUAL = "usual."
_BRANCH_2 = "network_residuals"
_PARTS_2 = (
    "reconstruction/narrow",
    "reconstruction/wide",
    "forecast/narrow",
    "forecast/wide",
    "ensemble/narrow",
    "ensemble/wide",
)


def stored(calibration: Calibration) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a calibration by their names, and its entry in the manifest."""
    c = calibration
    arrays = {f"branches.{branch}.{name}": array for branch, held in c.branches.items() for name, array in held.items()}
    arrays |= {f"{_RUNS}{name}": array for name, array in c.runs.items()}
    arrays |= {f"{_USUAL}{name}": array for name, array in c.usual.items()}
    tails = {f"tails.{part}": tail for part, tail in c.tails.items()}
    for name, tail in (*tails.items(), ("total", c.total)):
        arrays |= {f"{name}.statistic": tail.statistic, f"{name}.surprise": tail.surprise, f"{name}.fit": tail.fit}
    names = {"branches": list(c.branches), "tails": list(c.tails), "weights": [t.weight for t in c.tails.values()]}
    return arrays, names | {name: getattr(c, name) for name in _NUMBERS}


def read_calibration(arrays: Arrays, manifest_entry: dict[str, Any]) -> Calibration:
    """Read what `stored` returned.

    Raises: KeyError where an array is missing; ShapeError; msgspec.ValidationError.
    """
    entry = msgspec.convert(manifest_entry, CalibrationEntry)
    branches = {}
    for branch in entry.branches:
        prefix = f"branches.{branch}."
        branches[branch] = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
    weights = entry.weights or [1.0] * len(entry.tails)
    return Calibration(
        branches=branches,
        tails={
            part: replace(_tail(arrays, f"tails.{part}"), weight=weight)
            for part, weight in zip(entry.tails, weights, strict=True)
        },
        total=_tail(arrays, "total"),
        runs={name.removeprefix(_RUNS): array for name, array in arrays.items() if name.startswith(_RUNS)},
        usual={name.removeprefix(_USUAL): array for name, array in arrays.items() if name.startswith(_USUAL)},
        **{name: getattr(entry, name) for name in _NUMBERS},
    )


def read_calibration_2(arrays: Arrays, manifest_entry: dict[str, Any]) -> Calibration:
    """Read the calibration of a bundle of format 2: one branch, whose six tails are stacked, and no names."""
    for name in ("part_statistics", "part_surprises", "part_fits"):
        array = arrays[name]
        if array.ndim != 2 or len(array) != len(_PARTS_2):
            raise ShapeError(f"{name}: expected {len(_PARTS_2)} rows, one a part, got shape {list(array.shape)}")
    held = {"scales": arrays["scales"], "widths": arrays["widths"]}
    named = {f"branches.{_BRANCH_2}.{name}": array for name, array in held.items()}
    for row, part in enumerate(_PARTS_2):
        named |= {
            f"tails.{part}.{name}": np.ascontiguousarray(arrays[f"part_{plural}"][row])
            for name, plural in (("statistic", "statistics"), ("surprise", "surprises"), ("fit", "fits"))
        }
    named |= {"total.statistic": arrays["total_statistics"], "total.surprise": arrays["total_surprises"]}
    named |= {"total.fit": arrays["total_fit"]}
    entry = manifest_entry | {"burn_in": manifest_entry["settle"], "branches": [_BRANCH_2], "tails": list(_PARTS_2)}
    return read_calibration(named, entry)


def _tail(arrays: Arrays, name: str) -> Tail:
    fit = arrays[f"{name}.fit"]
    check_array(f"{name}.fit", fit, np.float64, (2,))
    return Tail(arrays[f"{name}.statistic"], arrays[f"{name}.surprise"], *fit.tolist())
