"""Compiled kernels: arrays in, arrays out. A stream is a slot here: nothing knows its name, files or a clock.

Dimension letters, the same everywhere: `B` streams in a round, `S` slots, `T` steps, `C` channels of a sample, `I`
inputs of a layer, `H` hidden units, `L` layers, `N` samples or windows, `D` outputs of a head.
"""

try:
    from streamlstm.kernels.activity import advance_activity
    from streamlstm.kernels.adamw import adamw_update
    from streamlstm.kernels.admission import NEVER, admit
    from streamlstm.kernels.channel_runs import FLAT, MISSING, advance_runs
    from streamlstm.kernels.isa import backends, isa, isas
    from streamlstm.kernels.own_units import follow_young
    from streamlstm.kernels.probes import fma_peak, gate_cost
    from streamlstm.kernels.prototypes import PackedPrototypes, advance_prototypes
    from streamlstm.kernels.residuals import advance_residuals, row_length
    from streamlstm.kernels.scores import BASE_SURPRISE, LOWEST_ALARM, TRUST, combine_tails, score_streams
    from streamlstm.kernels.settled import settle_scores
    from streamlstm.kernels.state_arena import StateArena
    from streamlstm.kernels.step import advance, run, step
    from streamlstm.kernels.unroll import backward, unroll
    from streamlstm.kernels.weights import NetworkWeights
except ImportError as error:
    raise ImportError(
        f"the compiled kernels of streamlstm are not built ({error}); install the package with `pip install .`, "
        "or build them in place with `make inplace`"
    ) from error

from streamlstm.kernels.cells import CELL_FIELDS, CellKind, CellWeights, check_stack, state_size
from streamlstm.kernels.threads import single_thread
from streamlstm.kernels.traces import CellGradients, Gradients, LayerMasks, Trace, TrainingScratch

__all__ = [
    "BASE_SURPRISE",
    "CELL_FIELDS",
    "FLAT",
    "LOWEST_ALARM",
    "MISSING",
    "NEVER",
    "TRUST",
    "CellGradients",
    "CellKind",
    "CellWeights",
    "Gradients",
    "LayerMasks",
    "NetworkWeights",
    "PackedPrototypes",
    "StateArena",
    "Trace",
    "TrainingScratch",
    "adamw_update",
    "admit",
    "advance",
    "advance_activity",
    "advance_prototypes",
    "advance_residuals",
    "advance_runs",
    "backends",
    "backward",
    "check_stack",
    "combine_tails",
    "fma_peak",
    "follow_young",
    "gate_cost",
    "isa",
    "isas",
    "row_length",
    "run",
    "score_streams",
    "settle_scores",
    "single_thread",
    "state_size",
    "step",
    "unroll",
]
