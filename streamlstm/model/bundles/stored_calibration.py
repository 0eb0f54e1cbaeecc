"""How a calibration stands in a bundle: arrays by the names of branches and parts, numbers in the manifest.

    branches.BRANCH.ARRAY                     a branch's own fitted numbers
    tails.PART.statistic | surprise | fit     the tail of each part; fit is shape and scale
    total.statistic | surprise | fit          the tail of their weighted sum

The manifest lists branches and parts, since their order counts, and the parts' weights: all 1 where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.calibration import Calibration, Tail

__all__ = ["read_calibration", "read_calibration_2", "stored"]

Arrays = Mapping[str, NDArray[Any]]

_NUMBERS = ("rows", "cluster_rows", "burn_in", "warm_up", "horizon")
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
    tails = {f"tails.{part}": tail for part, tail in c.tails.items()}
    for name, tail in (*tails.items(), ("total", c.total)):
        arrays |= {f"{name}.statistic": tail.statistic, f"{name}.surprise": tail.surprise, f"{name}.fit": tail.fit}
    names = {"branches": list(c.branches), "tails": list(c.tails), "weights": [t.weight for t in c.tails.values()]}
    return arrays, names | {name: getattr(c, name) for name in _NUMBERS}


def read_calibration(arrays: Arrays, entry: dict[str, Any]) -> Calibration:
    """Read what `stored` returned. Raises: KeyError and TypeError where arrays and entry do not fit each other."""
    branches = {}
    for branch in entry["branches"]:
        prefix = f"branches.{branch}."
        branches[branch] = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
    parts = entry["tails"]
    weights = entry.get("weights", [1.0] * len(parts))
    return Calibration(
        branches=branches,
        tails={
            part: replace(_tail(arrays, f"tails.{part}"), weight=float(weight))
            for part, weight in zip(parts, weights, strict=True)
        },
        total=_tail(arrays, "total"),
        **{name: entry[name] for name in _NUMBERS},
    )


def read_calibration_2(arrays: Arrays, entry: dict[str, Any]) -> Calibration:
    """Read the calibration of a bundle of format 2: one branch, whose six tails are stacked, and no names."""
    tails = {
        part: Tail(statistic, surprise, *map(float, fit))
        for part, statistic, surprise, fit in zip(
            _PARTS_2, arrays["part_statistics"], arrays["part_surprises"], arrays["part_fits"], strict=True
        )
    }
    total = Tail(arrays["total_statistics"], arrays["total_surprises"], *map(float, arrays["total_fit"]))
    numbers = {name: entry["settle" if name == "burn_in" else name] for name in _NUMBERS}
    scales, widths = arrays["scales"], arrays["widths"]
    return Calibration(branches={_BRANCH_2: {"scales": scales, "widths": widths}}, tails=tails, total=total, **numbers)


def _tail(arrays: Arrays, name: str) -> Tail:
    shape, scale = np.asarray(arrays[f"{name}.fit"]).tolist()
    return Tail(arrays[f"{name}.statistic"], arrays[f"{name}.surprise"], shape, scale)
