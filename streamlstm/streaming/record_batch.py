"""One batch of records on its way through a pipeline: its samples, and the outputs that have come of them so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamlstm.streaming.decoding.rejections import Reason, Rejection, dead_letter
from streamlstm.streaming.decoding.samples import Decoded
from streamlstm.types import Output, Positions, Record, TopicPartition

__all__ = ["RecordBatch"]

_SCORE, _ALERT, _DEAD_LETTER = range(3)

_MAX_OUTPUT_BYTES = 1_000_000
"""Brokers take records of 1,048,588 bytes unless told otherwise. One that they refused would stop the partition: it is
made again after every restart."""


class RecordBatch:
    """Collects outputs in any order; they leave in the order of samples, so that it is no matter what a batch held.

    A sample's score comes before its alert, and a record's dead letter, of which there is at most one, after all of
    its samples. Records come in offset order.
    """

    def __init__(self, partition: TopicPartition, records: Sequence[Record], decoded: Decoded) -> None:
        self.samples = decoded.samples
        self._partition = partition
        self._records = records
        offsets = np.fromiter((record.offset for record in records), np.int64, count=len(records))
        self._offsets = offsets[decoded.samples.record]
        self._rejections = {rejection.record.offset: rejection for rejection in decoded.rejected}
        self._outputs: list[Output] = []
        self.has_opened_alert = False
        self.has_spoken = np.zeros(len(self._offsets), np.bool_)
        """Which samples were scored and not late."""
        self._ranks: list[int] = []

    def offsets(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the offsets of the records that samples came in."""
        return self._offsets[rows]

    def positions(self, rows: NDArray[np.int64]) -> Positions:
        """Return where samples lie in the input."""
        return Positions(self._partition, self._offsets[rows])

    def add_scores(self, rows: NDArray[np.int64], outputs: Sequence[Output]) -> None:
        """Take the score records of samples; one that is too large for the log becomes a dead letter of its sample."""
        sizes = np.fromiter((len(output.value or b"") for output in outputs), np.int64, count=len(outputs))
        for place in np.flatnonzero(sizes > _MAX_OUTPUT_BYTES).tolist():
            size = f"a score record of at most {_MAX_OUTPUT_BYTES} bytes, got {sizes[place]}"
            self.reject(int(rows[place]), Reason.OVERSIZED, f"Expected {size}: the model has too many channels for one")
        kept = np.flatnonzero(sizes <= _MAX_OUTPUT_BYTES).tolist()
        self._outputs += [outputs[place] for place in kept] if len(kept) < len(outputs) else outputs
        self._ranks += (3 * rows[kept] + _SCORE).tolist()

    def add_alert(self, row: int, output: Output, *, has_opened: bool) -> None:
        """Take the alert record that a sample caused."""
        self.has_opened_alert |= has_opened
        self._outputs.append(output)
        self._ranks.append(3 * row + _ALERT)

    def reject(self, row: int, reason: Reason, error: str) -> None:
        """Note that a sample cannot be used; the first thing that is wrong with a record is the one that is told."""
        record = self._records[self.samples.record[row]]
        self._rejections.setdefault(record.offset, Rejection(record, reason, error))

    @property
    def rejections(self) -> list[Rejection]:
        """What is wrong with records, one each, in offset order."""
        return [self._rejections[offset] for offset in sorted(self._rejections)]

    def outputs(self, *, dead_letter_topic: str) -> list[Output]:
        """Return what is to be published, in order."""
        rejections = self.rejections
        offsets = np.array([rejection.record.offset for rejection in rejections], np.int64)
        last_rows = np.searchsorted(self._offsets, offsets, side="right") - 1
        outputs = self._outputs + [dead_letter(rejection, dead_letter_topic) for rejection in rejections]
        ranks = np.array(self._ranks + (3 * last_rows + _DEAD_LETTER).tolist(), np.int64)
        return [outputs[place] for place in np.argsort(ranks, kind="stable").tolist()]
