"""The stretches of the data whose scores are highest, with what the network expected there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from streamlstm.evaluation.recording import Recording, event_times
from streamlstm.evaluation.replay import CHUNK_ROWS, ScoredChunk, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.recordings.series import StreamSamples
from streamlstm.reporting.measurements import detector_of
from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.forward import Forward, run_series

__all__ = ["WorstWindow", "find_peaks", "trace_windows", "window_rows"]

_PEAK_AT = 0.7
"""Where in the window the peak lies: a score is a mean over the rows before it."""


@dataclass(frozen=True, slots=True)
class WorstWindow:
    """One window, in the channels' units.

    Shapes: W rows from `begin` on; values, expected, rebuilt float64 [W, C]; score [W]; contribution [C], at the peak.
    `rebuilt` is NaN for a whole-window model, which has one estimate.
    """

    stream_id: str
    begin: int
    peak: int
    values: NDArray[np.float64]
    expected: NDArray[np.float64]
    rebuilt: NDArray[np.float64]
    score: NDArray[np.float64]
    contribution: NDArray[np.float64]

    @property
    def peak_score(self) -> float:
        """The highest score."""
        return float(self.score[self.peak - self.begin])


def window_rows(report: TrainingReport) -> int:
    """Return the rows of a window: two and a half periods, or four times the widest mean, between 96 and 480."""
    period = report.bundle.period_rows
    return int(np.clip(2.5 * period if period else 4 * report.averaged_rows, 96, 480))


def find_peaks(scores: dict[str, NDArray[np.float64]], *, rows: int, most: int) -> list[tuple[str, int, int]]:
    """Return (stream, first row, row of the peak) of the highest scores, highest first.

    A peak is the highest score of a quarter of a window to either side, and windows share less than a quarter.
    """
    found = []
    for stream_id, score in scores.items():
        left = np.where(np.isfinite(score), score, 0.0)
        left[left < maximum_filter1d(left, rows // 2 + 1)] = 0.0
        begins = np.clip(np.arange(len(left)) - int(rows * _PEAK_AT), 0, max(len(left) - rows, 0))
        for _ in range(most):
            peak = int(left.argmax()) if len(left) else 0
            if not len(left) or not left[peak] > 0:
                break
            begin = int(begins[peak])
            found.append((float(left[peak]), stream_id, begin, peak))
            left[np.abs(begins - begin) < 0.75 * rows] = 0.0
    found.sort(key=lambda one: -one[0])
    return [(stream_id, begin, peak) for _, stream_id, begin, peak in found[:most]]


def trace_windows(report: TrainingReport, peaks: list[tuple[str, int, int]], *, rows: int) -> list[WorstWindow]:
    """Run the streams of these peaks once more, and keep what lies in their windows."""
    windows = []
    for stream_id in dict.fromkeys(stream_id for stream_id, _, _ in peaks):
        spans = [(begin, peak) for stream, begin, peak in peaks if stream == stream_id]
        windows += _trace_stream(report, stream_id, spans, rows)
    order = {(stream_id, peak): place for place, (stream_id, _, peak) in enumerate(peaks)}
    return sorted(windows, key=lambda window: order[window.stream_id, window.peak])


def _trace_stream(report: TrainingReport, stream_id: str, spans: list[tuple[int, int]], rows: int) -> list[WorstWindow]:
    bundle = report.bundle
    end = min(max(begin for begin, _ in spans) + rows, len(report.series[stream_id]))
    if not report.is_causal:  # what comes after counts too
        end = len(report.series[stream_id])
    values = report.series[stream_id][:end]
    recording = Recording.of_stream(StreamSamples(stream_id, values, event_times(bundle, end)))
    drafts = [
        WorstWindow(
            stream_id=stream_id,
            begin=begin,
            peak=peak,
            values=values[begin : begin + rows].astype(np.float64),
            expected=np.full((min(rows, end - begin), values.shape[1]), np.nan),
            rebuilt=np.full((min(rows, end - begin), values.shape[1]), np.nan),
            score=np.full(min(rows, end - begin), np.nan),
            contribution=np.zeros(values.shape[1]),
        )
        for begin, peak in spans
    ]
    scale, mean = bundle.standardizer.scale, bundle.standardizer.mean
    for chunk, rebuilt in _run(report, stream_id, recording):
        start, stop = chunk.begin, chunk.end
        for draft in drafts:
            a, b = max(start, draft.begin), min(stop, draft.begin + len(draft.score))
            if a < b:
                to, of = slice(a - draft.begin, b - draft.begin), slice(a - start, b - start)
                draft.expected[to] = chunk.scores.expected[of]
                draft.rebuilt[to] = rebuilt[of] * scale + mean
                draft.score[to] = chunk.scores.score[of]
            if start <= draft.peak < stop:
                draft.contribution[:] = chunk.scores.contribution[draft.peak - start]
    return drafts


def _run(
    report: TrainingReport, stream_id: str, recording: Recording
) -> Iterator[tuple[ScoredChunk, NDArray[np.float32]]]:
    """Score a stream again, and rebuild it where the network does that besides. Shapes: [N, C], standardised."""
    bundle = report.bundle
    detector = detector_of(bundle)
    if isinstance(bundle, ModelBundle):
        run = run_series(Forward(bundle.network, bundle.standardizer), recording.values, chunk_rows=CHUNK_ROWS)
        for chunk, made in zip(replay(detector, recording, alerts=None), run, strict=True):
            yield chunk, made.reconstruction()
        return
    first, second = report.cuts[stream_id]
    for begin, end in ((first, second), (second, len(recording))):
        if begin < end:
            for chunk in replay(detector, recording, begin=begin, end=end, alerts=None):
                yield chunk, np.full(chunk.samples.values.shape, np.nan, np.float32)
