"""Samples through the network: admitted, stepped, projected by the head. Scoring and calibration share this path.

`run_series` takes one whole series along it, for whoever asks what the network made of each row and what it had
forecast for it: calibration, the comparison of two models, the page of a training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.kernels import NetworkWeights, admit, advance
from streamlstm.model.channels import ChannelRules
from streamlstm.model.network import Network
from streamlstm.model.standardizer import Standardizer
from streamlstm.scoring.state import StreamStates
from streamlstm.types import GapPolicy, Status

__all__ = ["INPUT_LIMIT", "Backend", "Forward", "ForwardResult", "SeriesChunk", "run_series"]

Backend: TypeAlias = Literal["fused", "blas", "bfloat16"]
"""How the network's products are done; see `NetworkWeights`."""

INPUT_LIMIT = 20.0
"""Standardised inputs are clipped here: 20 deviations saturate the gates, and more would stay in the state."""

_HOLE_HORIZONS = 4
"""A hole counts as one from so many horizons of the forecast on. On simulated vital signs shorter ones change no score;
after ten minutes without a value one stream in four alarmed on return, and one in twenty when as many rows as the
forecast reaches were given it to settle."""

_CHUNK = 4096
"""Rows of a series at a time: bounds the head's outputs to some 10 MB at 38 channels."""


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """What the network made of N samples, of which K were admitted: late ones are left out.

    Shapes: admitted int64 [K], rows of the batch; status uint8 [N]; slots int64 [K]; x float32 [K, C]; observed uint8
    [K, C], 0 also where the stream settles after a hole; measured uint8 [K], 0 = nothing of the sample is, as it holds
    no value or the stream settles; reset uint8 [K]; ages int64 [K], the stream's age before each sample; head
    float32 [K, C * (1 + p)]; shown float32 [K, C], see `shapes`.
    """

    admitted: NDArray[np.int64]
    status: NDArray[np.uint8]
    slots: NDArray[np.int64]
    x: NDArray[np.float32]
    observed: NDArray[np.uint8]
    measured: NDArray[np.uint8]
    reset: NDArray[np.uint8]
    ages: NDArray[np.int64]
    head: NDArray[np.float32]
    shown: NDArray[np.float32] | None = None

    @property
    def shapes(self) -> NDArray[np.float32]:
        """The samples as windows take them: x, where a channel of which not all deviations count is 0 [K, C]."""
        return self.x if self.shown is None else self.shown


class Forward:
    """The network with its standardizer, ready to run on the states of streams."""

    def __init__(
        self,
        network: Network,
        standardizer: Standardizer,
        *,
        backend: Backend = "fused",
        rules: ChannelRules | None = None,
    ) -> None:
        """Make one; without rules all channels count."""
        self.network = network
        self._input_only = None if rules is None or rules.scored.all() else rules.scored == 0
        self._plain = None if rules is None or rules.are_plain.all() else rules.are_plain
        self.standardizer = standardizer
        self.weights = NetworkWeights(network.layers, (network.head_weight, network.head_bias), backend=backend)

    def run(
        self,
        states: StreamStates,
        slots: NDArray[np.int64],
        event_time_ms: NDArray[np.int64],
        values: NDArray[np.float32],
        gaps: GapPolicy,
    ) -> ForwardResult:
        """Advance the streams' network state by N samples in arrival order.

        Shapes: slots, event_time_ms [N]; values [N, C], NaN = missing.
        """
        count, channels = values.shape
        status = np.empty(count, np.uint8)
        reset = np.empty(count, np.uint8)
        observed = np.empty((count, channels), np.uint8)
        measured = np.empty(count, np.uint8)
        x = np.empty((count, channels), np.float32)
        ages = np.empty(count, np.int64)
        architecture = self.network.architecture
        admit(
            slots,
            event_time_ms=event_time_ms,
            values=values,
            mean=self.standardizer.mean,
            scale=self.standardizer.scale,
            reset_after_ms=gaps.reset_after_ms,
            forget_after_ms=gaps.forget_after_ms,
            hole_rows=_HOLE_HORIZONS * architecture.forecast,
            settle_rows=architecture.forecast,
            limit=INPUT_LIMIT,
            last_time=states.last_time,
            last=states.last,
            ages=states.ages,
            holes=states.holes,
            status=status,
            reset=reset,
            observed=observed,
            measured=measured,
            x=x,
            row_ages=ages,
        )
        admitted = np.flatnonzero(status != Status.LATE)
        if len(admitted) < count:
            slots, x, observed = slots[admitted], x[admitted], observed[admitted]
            measured, reset, ages = measured[admitted], reset[admitted], ages[admitted]
        inputs = np.concatenate([x, observed], axis=1, dtype=np.float32) if architecture.mask_inputs else x
        head = np.empty((len(admitted), architecture.head_outputs), np.float32)
        advance(self.weights, states.arena, slots, inputs, reset, head)
        if self._input_only is not None:
            observed[:, self._input_only] = 0
            measured &= observed.any(axis=1)
        observed[measured == 0] = 0  # the network was told what came, the branches what counts
        shown = None if self._plain is None else np.where(self._plain, x, np.float32(0))
        return ForwardResult(admitted, status, slots, x, observed, measured, reset, ages, head, shown)


@dataclass(frozen=True, slots=True)
class SeriesChunk:
    """Rows `begin` to `begin` + N of a series, and the heads that bear on them.

    Shapes: heads float32 [p + N, 1 + p, C], the first p of the rows before the chunk, NaN where there are none.
    """

    begin: int
    result: ForwardResult
    heads: NDArray[np.float32]

    def reconstruction(self) -> NDArray[np.float32]:
        """Return what the network made of each row itself, standardised. Shapes: [N, C]."""
        return self.heads[-len(self.result.x) :, 0]

    def forecast(self, steps: int) -> NDArray[np.float32]:
        """Return what was forecast for each row `steps` rows earlier, standardised; NaN where nothing was.

        Shapes: [N, C]; 1 <= steps <= p.
        """
        rows = len(self.result.x)
        first = len(self.heads) - rows - steps
        return self.heads[first : first + rows, steps]


def run_series(
    forward: Forward, values: NDArray[np.float32], *, begin: int = 0, chunk_rows: int = _CHUNK
) -> Iterator[SeriesChunk]:
    """Run the network over the rows of one stream from `begin` on, with carried state, chunk by chunk.

    Rows count as in time order and without gaps, whatever their times.
    Shapes: values float32 [T, C] in the channels' units, NaN = missing.
    """
    architecture = forward.network.architecture
    p, channels = architecture.forecast, architecture.channels
    states = StreamStates(architecture, forward.weights, max_streams=16)
    slot = states.slots_of(["series"])
    heads = np.full((p, 1 + p, channels), np.nan, np.float32)
    for first in range(begin, len(values), chunk_rows):
        rows = np.ascontiguousarray(values[first : first + chunk_rows], np.float32)
        times = np.arange(first, first + len(rows), dtype=np.int64)
        result = forward.run(states, np.repeat(slot, len(rows)), times, rows, GapPolicy())
        heads = np.concatenate([heads[-p:], result.head.reshape(len(rows), 1 + p, channels)])
        yield SeriesChunk(first, result, heads)
