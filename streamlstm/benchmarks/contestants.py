"""What every contestant offers, and the check that it computes the right thing before it is timed."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.reference import Reference
from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload
from streamlstm.errors import StreamLstmError

__all__ = ["Contestant", "WrongOutputs", "check_contestant", "expected_outputs"]

TOLERANCE = 1e-4
ROUNDED_TOLERANCE = 2e-2  # of what multiplies bfloat16 on purpose
"""Largest error of an output: float32 sums are good to 1e-5 here, bfloat16 products or a wrong gate order are not."""

CHECKED_CALLS = 3
"""Calls that are compared, from zero state: two would not tell a state that is carried from one that is swapped."""

Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class WrongOutputs(StreamLstmError):
    """A contestant that computes something else, and is therefore not timed."""


class Contestant(Protocol):
    """A network with the state of S streams, zero at first, in the form its library likes best."""

    def load(self, x: NDArray[np.float32]) -> None:
        """Take the input of the calls to come, [S, C] or [T, S, C]. Not timed."""

    def advance(self) -> object:
        """Compute once, from the state that the call before left. This is what is timed."""

    def read(self) -> Outputs:
        """Return out of the last call, and the errors of single steps. Not timed."""


def expected_outputs(network: RecurrentNetwork, work: Workload) -> list[Outputs]:
    """Return what the first calls must give."""
    reference, expected = Reference(network, work.streams), list[Outputs]()
    for x in work.inputs(CHECKED_CALLS):
        if work.steps is None:
            out, errors = reference.step(x)
            expected.append((out.astype(np.float32), errors.astype(np.float32)))
        else:
            block = np.stack([reference.step(row)[0] for row in x])
            expected.append((block.astype(np.float32), None))
    return expected


def check_contestant(name: str, contestant: Contestant, work: Workload, expected: list[Outputs]) -> None:
    """Run the first calls. Raises: WrongOutputs when one differs from what is expected."""
    tolerance = ROUNDED_TOLERANCE if name == "bfloat16" else TOLERANCE
    for call, (x, (out, errors)) in enumerate(zip(work.inputs(len(expected)), expected, strict=True)):
        contestant.load(x)
        contestant.advance()
        came_out, came_errors = contestant.read()
        for what, wanted, came in (("out", out, came_out), ("errors", errors, came_errors)):
            if wanted is None:
                continue
            if came is None or came.shape != wanted.shape:
                got = "nothing" if came is None else list(came.shape)
                raise WrongOutputs(f"{name}, {work.title}: expected {what} {list(wanted.shape)}, got {got}")
            worst = float(np.max(np.abs(came - wanted) / np.maximum(1, np.abs(wanted))))
            if not worst <= tolerance:
                raise WrongOutputs(
                    f"{name}, {work.title}: {what} of call {call + 1} is {worst:.2g} from the float64 computation, "
                    f"more than {tolerance:g}; it is not timed"
                )
