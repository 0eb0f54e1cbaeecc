"""Old and new model on the same samples, which neither was trained on: who forecasts better, and who cries wolf.

The error is that of the forecast one sample ahead, in the channels' own units over the old model's scales: it is the
same question to both, whatever their heads and standardizers. Both run over the same rows before the compared part, so
that their states are warm alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.jobs.retraining.telemetry import Piece
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alerts import AlertPolicy, AlertTracker
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import INPUT_LIMIT, Forward
from streamlstm.scoring.state import StreamStates
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import GapPolicy, Position

__all__ = ["Errors", "Later", "false_alarms", "forecast_errors", "later_part"]

WARM_UP_ROWS = 1024
"""Rows before the compared part: as many as a lane runs over in training before its state starts again."""
_FIRST_ROWS = 128
"""Rows at the start of a piece that are not judged: its state has seen too little."""
_CHUNK = 4096
_MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean squared errors by channel, NaN where nothing was observed, and how many values they rest on."""

    by_channel: dict[str, float]
    values: int

    @property
    def mean(self) -> float:
        """Mean over the channels that were observed; NaN without any."""
        seen = [error for error in self.by_channel.values() if error == error]
        return float(np.mean(seen)) if seen else float("nan")


@dataclass(frozen=True, slots=True)
class Later:
    """A piece's rows that are compared, from `first` on, with the rows before them that warm the state."""

    piece: Piece
    first: int


def later_part(pieces: Sequence[Piece], cut_ms: int) -> list[Later]:
    """Return what lies at `cut_ms` or later, each with its warm-up."""
    parts = []
    for piece in pieces:
        cut = int(np.searchsorted(piece.event_time_ms, cut_ms))
        begin = max(cut - WARM_UP_ROWS, 0)
        first = max(cut - begin, _FIRST_ROWS)
        if begin + first < len(piece.event_time_ms):
            parts.append(Later(Piece(piece.stream_id, piece.event_time_ms[begin:], piece.values[begin:]), first))
    return parts


def forecast_errors(bundle: ModelBundle, parts: Sequence[Later], scale: NDArray[np.float32]) -> Errors:
    """Return the mean squared error of the forecast one sample ahead, in units of `scale`.

    Shapes: scale float32 [C]. An error counts for at most `INPUT_LIMIT` scales: one wild value must not decide.
    """
    channels = len(bundle.channels)
    squares, counts = np.zeros(channels), np.zeros(channels, np.int64)
    forward = Forward(bundle.network, bundle.standardizer)
    slots = np.zeros(_CHUNK, np.int64)
    for part in parts:
        states = StreamStates(bundle.network.architecture, forward.weights, max_streams=16)
        states.slots_of([part.piece.stream_id])
        forecast = np.full((1, channels), np.nan)
        for begin in range(0, len(part.piece.values), _CHUNK):
            values = np.ascontiguousarray(part.piece.values[begin : begin + _CHUNK])
            times = np.ascontiguousarray(part.piece.event_time_ms[begin : begin + _CHUNK])
            passed = forward.run(states, slots[: len(values)], times, values, GapPolicy())
            ahead = passed.head[:, channels : 2 * channels].astype(np.float64)
            ahead = ahead * bundle.standardizer.scale + bundle.standardizer.mean
            expected = np.concatenate([forecast, ahead[:-1]])
            forecast = ahead[-1:]
            error = np.clip((values - expected) / scale, -INPUT_LIMIT, INPUT_LIMIT)
            error = error[max(part.first - begin, 0) :]
            squares += np.nansum(error**2, axis=0)
            counts += np.isfinite(error).sum(axis=0)
    means = np.where(counts > 0, squares / np.maximum(counts, 1), np.nan)
    return Errors(dict(zip(bundle.channels, means.tolist(), strict=True)), int(counts.sum()))


def false_alarms(
    bundle: ModelBundle,
    parts: Sequence[Later],
    *,
    threshold: Threshold,
    policy: AlertPolicy,
    gaps: GapPolicy,
    period_s: float,
) -> float:
    """Return the alerts a stream and day that the worker would open on the compared part; NaN when that is nothing."""
    alerts, watched_ms = 0, 0.0
    for part in parts:
        piece = part.piece
        detector = Detector(bundle, gaps=gaps, threshold=threshold, period_s=period_s, max_streams=16)
        tracker = AlertTracker(policy, model=bundle.label, channels=bundle.channels)
        for begin in range(0, len(piece.values), _CHUNK):
            values = np.ascontiguousarray(piece.values[begin : begin + _CHUNK])
            times = np.ascontiguousarray(piece.event_time_ms[begin : begin + _CHUNK])
            ids = [piece.stream_id] * len(times)
            scores = detector.score(ids, times, values)
            positions = [Position("", 0, begin)] * len(times)
            for row, alert in tracker.update(ids, times, values, scores, positions):
                alerts += alert.revision == 1 and begin + row >= part.first
        watched_ms += float(np.isfinite(piece.values[part.first :]).any(axis=1).sum()) * period_s * 1000
    return alerts / (watched_ms / _MS_PER_DAY) if watched_ms else float("nan")
