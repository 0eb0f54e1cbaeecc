"""From the newest window of each stream to its distance from the nearest prototype."""

import numpy as np
from numpy.typing import NDArray

class PackedPrototypes:
    """Packed copies of prototypes, of centred windows and of normalised ones; immutable.

    Shapes: centres float32 [2, K, L, C], oldest sample first; floors float32 [C], above 0.
    Units: stride in samples, from one of a window to the next; span, as many as a window reaches back.
    Raises: ShapeError when they do not fit each other, are not finite or beyond 1e6, or where the stride is below 1;
    UsageError for an unknown isa.
    """

    count: int
    taps: int
    channels: int
    stride: int
    span: int
    isa: str
    def __init__(
        self, centres: NDArray[np.float32], floors: NDArray[np.float32], *, stride: int = 1, isa: str | None = None
    ) -> None: ...

def advance_prototypes(
    prototypes: PackedPrototypes,
    slots: NDArray[np.int64],
    *,
    x: NDArray[np.float32],
    reset: NDArray[np.uint8],
    ages: NDArray[np.int64],
    windows: NDArray[np.float32],
    statistics: NDArray[np.float32],
    contribution: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    """Put N samples into their streams' windows; write what they measure, contribution and expected.

    Shapes: slots [N], may repeat; x [N, C]; reset [N]; ages [N], none below 0; windows [S, span, C]; statistics [N, 2],
    of the centred and the normalised window, 0 until it is full; contribution, expected [N, C].
    Units: expected dimensionless.
    Raises: ShapeError before anything changes.
    """
