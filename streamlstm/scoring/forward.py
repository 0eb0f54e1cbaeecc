"""Samples through the network: admitted, stepped, projected by the head. Scoring and calibration share this path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import NetworkWeights, admit, advance
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.state import StreamStates
from streamlstm.types import GapPolicy, Status

__all__ = ["INPUT_LIMIT", "Backend", "Forward", "Passed"]

Backend: TypeAlias = Literal["fused", "blas", "bfloat16"]
"""How the network's products are done; see `NetworkWeights`."""

INPUT_LIMIT = 20.0
"""Standardised inputs are clipped here: 20 deviations saturate the gates, and more would stay in the state."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What the network made of N samples, late ones left out.

    Shapes: kept int64 [K] rows of the batch; status uint8 [N]; slots int64 [K]; x float32 [K, C]; observed uint8
    [K, C]; reset uint8 [K]; head float32 [K, C * (1 + p)].
    """

    kept: NDArray[np.int64]
    status: NDArray[np.uint8]
    slots: NDArray[np.int64]
    x: NDArray[np.float32]
    observed: NDArray[np.uint8]
    reset: NDArray[np.uint8]
    head: NDArray[np.float32]


class Forward:
    """The network with its standardizer, ready to run on the states of streams."""

    def __init__(self, network: Network, standardizer: Standardizer, *, backend: Backend = "fused") -> None:
        self.network = network
        self.standardizer = standardizer
        self.weights = NetworkWeights(network.layers, (network.head_weight, network.head_bias), backend=backend)

    def run(
        self,
        states: StreamStates,
        slots: NDArray[np.int64],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        gaps: GapPolicy,
    ) -> Passed:
        """Advance the streams' network state by N samples in arrival order.

        Shapes: slots, event_time_ms [N]; values [N, C], NaN = missing.
        """
        count, channels = values.shape
        status = np.empty(count, np.uint8)
        reset = np.empty(count, np.uint8)
        observed = np.empty((count, channels), np.uint8)
        x = np.empty((count, channels), np.float32)
        admit(
            slots,
            event_time_ms=event_time_ms,
            values=values,
            mean=self.standardizer.mean,
            scale=self.standardizer.scale,
            reset_after_ms=gaps.reset_after_ms,
            forget_after_ms=gaps.forget_after_ms,
            limit=INPUT_LIMIT,
            last_time=states.last_time,
            last=states.last,
            status=status,
            reset=reset,
            observed=observed,
            x=x,
        )
        kept = np.flatnonzero(status != Status.LATE)
        if len(kept) < count:
            slots, x, observed, reset = slots[kept], x[kept], observed[kept], reset[kept]
        architecture = self.network.architecture
        inputs = np.concatenate([x, observed], axis=1, dtype=np.float32) if architecture.mask_inputs else x
        head = np.empty((len(kept), architecture.head_outputs), np.float32)
        advance(self.weights, states.arena, slots, inputs, reset, head)
        return Passed(kept, status, slots, x, observed, reset, head)
