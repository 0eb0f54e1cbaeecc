"""A writer of EDF files, from the specification (https://www.edfplus.info/specs/edf.html), for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class Signal:
    """Digital samples, whole records of them, and the two ranges that map them to physical values."""

    label: str
    digital: NDArray[np.int16]
    per_record: int
    unit: str = "mV"
    physical: tuple[float, float] = (-5, 5)
    range: tuple[int, int] = (-2048, 2047)

    @property
    def values(self) -> NDArray[np.float64]:
        """What the samples mean, by the straight line through both ends of the ranges."""
        return np.interp(self.digital, self.range, self.physical)


def write_edf(
    file: Path,
    signals: Sequence[Signal],
    *,
    record_s: float = 1,
    kind: str = "",
    start: str = "04.03.2122.13.05",
    records: int | None = None,
    onsets_s: Sequence[float] | None = None,
    annotation_first: bool = False,
) -> Path:
    """Write a file; with onsets an annotations signal says when each record began."""
    count = len(signals[0].digital) // signals[0].per_record
    blocks = [signal.digital.astype("<i2").reshape(count, signal.per_record) for signal in signals]
    if onsets_s is not None:
        marks = [f"{onset:+g}\x14\x14\0".encode().ljust(16, b"\0") for onset in onsets_s]
        at = 0 if annotation_first else len(signals)
        signals = [*signals[:at], Signal("EDF Annotations", np.zeros(0, np.int16), 8, "", (-1, 1)), *signals[at:]]
        blocks.insert(at, np.frombuffer(b"".join(marks), "<i2").reshape(count, 8))
    fields: list[tuple[int, list[object]]] = [
        (16, [signal.label for signal in signals]),
        (80, ["AgAgCl" for _ in signals]),
        (8, [signal.unit for signal in signals]),
        (8, [f"{signal.physical[0]:g}" for signal in signals]),
        (8, [f"{signal.physical[1]:g}" for signal in signals]),
        (8, [signal.range[0] for signal in signals]),
        (8, [signal.range[1] for signal in signals]),
        (80, ["HP:0.1Hz" for _ in signals]),
        (8, [signal.per_record for signal in signals]),
        (32, ["" for _ in signals]),
    ]
    head = [(8, 0), (80, "X F X X"), (80, "Startdate X X X X"), (16, start), (8, 256 * (1 + len(signals))), (44, kind)]
    head += [(8, count if records is None else records), (8, f"{record_s:g}"), (4, len(signals))]
    text = "".join(str(value).ljust(width) for width, value in head)
    text += "".join(str(value).ljust(width) for width, values in fields for value in values)
    file.write_bytes(text.encode("latin-1") + np.concatenate(blocks, axis=1).tobytes())
    return file
