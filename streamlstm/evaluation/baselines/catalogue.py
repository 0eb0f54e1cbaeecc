"""All baselines, in the order of tables.

Their options are the best of a few tried on recorded series with their labels, one setting for all collections: a
baseline may be set with hindsight, a model that is to beat it may not. docs/detection.md says what was tried.
"""

from __future__ import annotations

from streamlstm.evaluation.baselines.baseline import Baseline
from streamlstm.evaluation.baselines.components import PrincipalComponents
from streamlstm.evaluation.baselines.half_space_trees import HalfSpaceTrees
from streamlstm.evaluation.baselines.moments import EwmaZ, MovingGaussian, SecondDifference, TrainingZ
from streamlstm.evaluation.baselines.prototypes import NearestPrototype

__all__ = ["BASELINES"]

BASELINES: tuple[Baseline, ...] = (
    SecondDifference(),
    TrainingZ(),
    EwmaZ(),
    MovingGaussian(),
    HalfSpaceTrees(),
    PrincipalComponents(),
    NearestPrototype(),
)
