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

from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.series import StreamSamples
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import INPUT_LIMIT, Forward, run_series
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import GapPolicy

__all__ = ["ForecastErrors", "LaterPart", "false_alarms", "forecast_errors", "later_part"]

WARM_UP_ROWS = 1024
"""Rows before the compared part: as many as a lane runs over in training before its state starts again."""
_FIRST_ROWS = 128
"""Rows at the start of a series that are not judged: its state has seen too little."""
_MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class ForecastErrors:
    """Mean squared errors by channel, NaN where nothing was observed, and how many values they rest on."""

    by_channel: dict[str, float]
    values: int

    @property
    def mean(self) -> float:
        """Mean over the channels that were observed; NaN without any."""
        seen = [error for error in self.by_channel.values() if error == error]
        return float(np.mean(seen)) if seen else float("nan")


@dataclass(frozen=True, slots=True)
class LaterPart:
    """A series' rows that are compared, from `first` on, with the rows before them that warm the state."""

    samples: StreamSamples
    first: int


def later_part(series: Sequence[StreamSamples], cut_ms: int) -> list[LaterPart]:
    """Return what lies at `cut_ms` or later, each with its warm-up."""
    parts = []
    for one in series:
        cut = int(np.searchsorted(one.event_time_ms, cut_ms))
        begin = max(cut - WARM_UP_ROWS, 0)
        first = max(cut - begin, _FIRST_ROWS)
        if begin + first < len(one.event_time_ms):
            part = StreamSamples(one.stream_id, one.values[begin:], one.event_time_ms[begin:])
            parts.append(LaterPart(part, first))
    return parts


def forecast_errors(bundle: ModelBundle, parts: Sequence[LaterPart], scale: NDArray[np.float32]) -> ForecastErrors:
    """Return the mean squared error of the forecast one sample ahead, in units of `scale`.

    Shapes: scale float32 [C]. An error counts for at most `INPUT_LIMIT` scales: one wild value must not decide.
    """
    channels = len(bundle.channels)
    squares, counts = np.zeros(channels), np.zeros(channels, np.int64)
    forward, standardizer = Forward(bundle.network, bundle.standardizer), bundle.standardizer
    for part in parts:
        for chunk in run_series(forward, part.samples.values):
            values = part.samples.values[chunk.begin : chunk.begin + len(chunk.result.x)]
            expected = chunk.forecast(1).astype(np.float64) * standardizer.scale + standardizer.mean
            error = np.clip((values - expected) / scale, -INPUT_LIMIT, INPUT_LIMIT)
            error = error[max(part.first - chunk.begin, 0) :]
            squares += np.nansum(error**2, axis=0)
            counts += np.isfinite(error).sum(axis=0)
    means = np.where(counts > 0, squares / np.maximum(counts, 1), np.nan)
    return ForecastErrors(dict(zip(bundle.channels, means.tolist(), strict=True)), int(counts.sum()))


def false_alarms(
    bundle: ModelBundle,
    parts: Sequence[LaterPart],
    *,
    threshold: Threshold,
    policy: AlertPolicy,
    gaps: GapPolicy,
    period_s: float,
) -> float:
    """Return the alerts a stream and day that the worker would open on the compared part; NaN when that is nothing."""
    alerts, watched_ms = 0, 0.0
    for part in parts:
        detector = Detector(bundle, gaps=gaps, threshold=threshold, period_s=period_s, max_streams=16)
        for chunk in replay(detector, Recording.of_stream(part.samples), alerts=policy):
            alerts += sum(row >= part.first for row in chunk.opened)
        watched_ms += float(np.isfinite(part.samples.values[part.first :]).any(axis=1).sum()) * period_s * 1000
    return alerts / (watched_ms / _MS_PER_DAY) if watched_ms else float("nan")
