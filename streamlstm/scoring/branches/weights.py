"""What each part of the score counts for beside the others. Of which kind the data are decides; calibration shows it.

* **Waves** have beats (`streamlstm.scoring.branches.beats` says what a wave is), which tell odd ones best.
* **Shapes that repeat** are what both prototypes are for; there each beat or stroke is a burst of activity, which says
  nothing.
* **Elsewhere**, in metrics of servers and services, normalised windows are noise, like no other. What tells there is
  how much values move and how far they have gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamlstm.scoring.branches.activity import Activity
from streamlstm.scoring.branches.beats import WAVE_WEIGHTS
from streamlstm.scoring.branches.protocol import Branch
from streamlstm.scoring.branches.prototypes import NORMALISED

__all__ = ["weights_of"]

_OF_SHAPES: Mapping[str, float] = {Activity.name: 0.0}
_OF_OTHERS: Mapping[str, float] = {NORMALISED: 0.0}


def weights_of(branches: Sequence[Branch], *, is_wave: bool, shapes_repeat: bool) -> dict[str, float]:
    """Return what each part counts for: its even share of what its branch does, where the kind has no other for it."""
    known = {**WAVE_WEIGHTS, **_OF_SHAPES} if is_wave else _OF_SHAPES if shapes_repeat else _OF_OTHERS
    return {
        part: known.get(part, known.get(branch.name, branch.weight) / len(branch.parts))
        for branch in branches
        for part in branch.parts
    }
