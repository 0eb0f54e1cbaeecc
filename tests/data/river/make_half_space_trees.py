"""Write half_space_trees.npz with river 0.26.1: python make_half_space_trees.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from river.anomaly import HalfSpaceTrees

CASES = {  # channels, trees, height, window, seed
    "three_channels": (3, 10, 8, 250, 1),
    "one_channel": (1, 4, 5, 100, 7),
}

made = {}
for name, (channels, trees, height, window, seed) in CASES.items():
    rng = np.random.default_rng(seed)
    values = np.clip(0.5 + 0.1 * rng.normal(size=(1130, channels)).cumsum(axis=0) / 10, -0.2, 1.2)
    values[700:710, 0] += 0.4
    detector = HalfSpaceTrees(n_trees=trees, height=height, window_size=window, seed=seed)
    scores = []
    for row in values.tolist():
        sample = dict(enumerate(row))
        scores.append(detector.score_one(sample))
        detector.learn_one(sample)
    made[f"{name}/values"], made[f"{name}/scores"] = values, np.array(scores)
    made[f"{name}/options"] = np.array([trees, height, window, seed])
np.savez_compressed(Path(__file__).with_name("half_space_trees.npz"), **made)
