"""Makes mitdb-119.npz, beside this file, from a recording with `values`, `label`, `train_len` and `period_s`.

    python streamlstm/simulation/data/make_mitdb_119.py 119.npz streamlstm/simulation/data/mitdb-119.npz

The database quantises to 200 steps a millivolt, so 16-bit integers hold its values exactly.
"""

import sys

import numpy as np

_MINUTES = 15
_STEPS_PER_MILLIVOLT = 200


def main(source: str, target: str) -> None:
    """Write the excerpt of `source` to `target`."""
    with np.load(source, allow_pickle=False) as held:
        hz = round(1 / float(held["period_s"]))
        rows = _MINUTES * 60 * hz
        values, label, live_from = held["values"][:rows], held["label"][:rows] > 0, int(held["train_len"])
        channels = held["channels"]
    steps = np.round(values * _STEPS_PER_MILLIVOLT)
    assert np.abs(steps / _STEPS_PER_MILLIVOLT - values).max() < 1e-4
    edges = np.flatnonzero(np.diff(np.concatenate([[0], label.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    live = starts >= live_from
    np.savez_compressed(
        target,
        values=steps.astype(np.int16),
        millivolts=1 / _STEPS_PER_MILLIVOLT,
        hz=hz,
        live_from=live_from,
        channels=channels,
        beat_starts=starts[live],
        beat_ends=ends[live],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
