"""The network and its scores on rows that its training did not use, through the paths that score in service.

Each stream runs from its first row on with carried state, as `streamlstm score` would run it; a whole-window model
scores each part by itself. Every part judges what it had no say in: errors of the network are those of the calibration
part, which no weight has seen; p-values are checked on the validation part, which the tails have not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.recording import Recording, event_times
from streamlstm.evaluation.replay import ScoredChunk, Scorer, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.recordings.series import StreamSamples
from streamlstm.reporting.report import TrainingReport
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.branches.known import network_residuals_of
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.forward import Forward, run_series
from streamlstm.scoring.windows.detector import WindowDetector
from streamlstm.training.segments import standardized_segment

__all__ = ["BINS", "Errors", "Measurements", "PartScores", "detector_of", "measure"]

BINS = 2048
"""Of an error's histogram, over eight times its root mean square to either side."""
_SPAN = 8.0


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors on the calibration part, by channel.

    Shapes: counts int64 [2, C, BINS] (0 reconstruction of the newest sample, 1 one-step forecast; of a whole-window
    model both are its estimate), over -half .. half; half [C]; rms [2, C]; guess_rms, last_rms [C]: of guessing the
    training mean, and of repeating the last value; scale [C], the standardizer's; rows [C] observed. Root mean squares
    are NaN where nothing was observed.
    Units: the channel's own.
    """

    counts: NDArray[np.int64]
    half: NDArray[np.float64]
    rms: NDArray[np.float64]
    guess_rms: NDArray[np.float64]
    last_rms: NDArray[np.float64]
    scale: NDArray[np.float64]
    rows: NDArray[np.int64]

    def explained(self, rms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by channel the share of the squared deviations from the training mean that these errors leave out."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: NDArray[np.float64] = 1 - np.square(rms / self.guess_rms)
        return np.where(self.guess_rms > 0, shares, np.nan)


@dataclass(frozen=True, slots=True)
class PartScores:
    """Scores of one part, all streams together.

    Shapes: p_values float64 [N], rows that have a score. `alerts` opened, where the alarm level allowed so many in the
    mean; `held_back` did not, because a stream's budget was spent. alarm_p is the level, as a p-value, in the mean over
    rows; NaN where no row has a score.
    """

    p_values: NDArray[np.float64]
    alerts: int
    held_back: int
    allowed: float
    alarm_p: float

    def shares(self, claimed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return which share of the rows has a p-value of at most what is claimed. Shapes: claimed [K]."""
        if not len(self.p_values):
            return np.full(len(claimed), np.nan)
        return np.asarray(np.searchsorted(np.sort(self.p_values), claimed, side="right") / len(self.p_values))


@dataclass(frozen=True)
class Measurements:
    """What the sections show.

    Shapes: scores by stream float64 [T], NaN for the training part and while warming.
    """

    errors: Errors
    validation: PartScores
    calibration: PartScores
    scores: dict[str, NDArray[np.float64]]


def measure(report: TrainingReport) -> Measurements:
    """Run the network and the detector over every stream."""
    bundle = report.bundle
    errors = _ErrorSums(bundle)
    parts = (_Part(bundle), _Part(bundle))
    scores = {}
    for stream_id, values in report.series.items():
        first, second = report.cuts[stream_id]
        scores[stream_id] = np.full(len(values), np.nan)
        detector = detector_of(bundle)
        recording = Recording.of_stream(StreamSamples(stream_id, values, event_times(bundle, len(values))))
        if isinstance(bundle, ModelBundle):
            forward = Forward(bundle.network, bundle.standardizer)
            errors.add(forward, values, max(second, bundle.calibration.burn_in))
            for _ in replay(detector, recording, end=first, alerts=None):
                pass
        for part, begin, end in ((parts[0], first, second), (parts[1], second, len(values))):
            for chunk in replay(detector, recording, begin=begin, end=end, alerts=AlertPolicy()):
                scores[stream_id][chunk.begin : chunk.end] = chunk.scores.score
                part.add(chunk)
                if part is parts[1] and isinstance(bundle, WindowBundle):
                    errors.add_estimates(chunk.samples.values, chunk.scores.expected)
    return Measurements(
        errors=errors.total(),
        validation=parts[0].total(),
        calibration=parts[1].total(),
        scores=scores,
    )


def detector_of(bundle: ModelBundle | WindowBundle) -> Scorer:
    """Return what scores with a bundle of either kind."""
    return Detector(bundle, max_streams=16) if isinstance(bundle, ModelBundle) else WindowDetector(bundle)


class _ErrorSums:
    def __init__(self, bundle: ModelBundle | WindowBundle) -> None:
        channels = len(bundle.channels)
        self._standardizer = bundle.standardizer
        self._unit = bundle.standardizer.scale.astype(np.float64)
        if isinstance(bundle, WindowBundle):
            scales = bundle.calibration.scales
        else:
            scales = network_residuals_of(bundle).scales[:2].max(axis=0)
        self._half = _SPAN * scales.astype(np.float64)  # in scales
        self._counts = np.zeros((2, channels, BINS), np.int64)
        self._squares = np.zeros((4, channels))
        self._seen = np.zeros(channels, np.int64)

    def add(self, forward: Forward, values: NDArray[np.float32], start: int) -> None:
        """Add the errors of the rows from `start` on."""
        last_x = np.zeros((1, values.shape[1]), np.float32)
        for chunk in run_series(forward, values):
            x, seen = chunk.result.x, chunk.result.observed.astype(bool)
            before = np.concatenate([last_x, x[:-1]])
            last_x = x[-1:]
            if chunk.begin + len(x) > start:
                rows = slice(max(start - chunk.begin, 0), None)
                kinds = (x - chunk.reconstruction(), x - chunk.forecast(1), x, x - before)
                self._add_rows([kind[rows].astype(np.float64) for kind in kinds], seen[rows])

    def add_estimates(self, values: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        """Add the errors of estimates that rest on both sides. Shapes: [T, C]; expected NaN where there is none."""
        segment = standardized_segment(self._standardizer, values)
        x, error = segment.x, segment.x - self._standardizer.apply(expected)
        seen = segment.observed & np.isfinite(error)
        before = np.concatenate([np.zeros((1, x.shape[1]), np.float32), x[:-1]])
        kinds = (error, error, x, x - before)
        self._add_rows([np.where(seen, kind, 0).astype(np.float64) for kind in kinds], seen)

    def _add_rows(self, kinds: list[NDArray[np.float64]], seen: NDArray[np.bool_]) -> None:
        self._seen += seen.sum(axis=0)
        for kind, error in enumerate(kinds):
            self._squares[kind] += np.where(seen, np.square(error), 0).sum(axis=0)
        for kind in range(2):
            place = np.clip((kinds[kind] / self._half + 1) / 2 * BINS, 0, BINS - 1).astype(np.int64)
            for channel in range(seen.shape[1]):
                held = place[seen[:, channel], channel]
                self._counts[kind, channel] += np.bincount(held, minlength=BINS)

    def total(self) -> Errors:
        rms = np.where(self._seen > 0, np.sqrt(self._squares / np.maximum(self._seen, 1)), np.nan) * self._unit
        return Errors(
            counts=self._counts,
            half=self._half * self._unit,
            rms=rms[:2],
            guess_rms=rms[2],
            last_rms=rms[3],
            scale=self._unit,
            rows=self._seen,
        )


class _Part:
    def __init__(self, bundle: ModelBundle | WindowBundle) -> None:
        self._cluster_rows = bundle.calibration.cluster_rows
        self._p_values: list[NDArray[np.float64]] = []
        self._alerts = self._held_back = 0
        self._alarm_p = 0.0

    def add(self, chunk: ScoredChunk) -> None:
        scored = chunk.scores
        self._alerts += len(chunk.opened)
        self._held_back += chunk.held_back
        has_score = np.isfinite(scored.score)
        self._p_values.append(scored.p_value[has_score])
        # The score is ln p / ln p_alarm, so the scores say at which p each row would have been an alarm.
        tells = has_score & (scored.score > 1e-9)
        if tells.any():
            alarm_p = np.exp(np.log(scored.p_value[tells]) / scored.score[tells])
            self._alarm_p += float(alarm_p.mean()) * int(has_score.sum())

    def total(self) -> PartScores:
        p_values = np.concatenate(self._p_values) if self._p_values else np.empty(0)
        return PartScores(
            p_values=p_values,
            alerts=self._alerts,
            held_back=self._held_back,
            allowed=self._alarm_p / self._cluster_rows,
            alarm_p=self._alarm_p / len(p_values) if len(p_values) else math.nan,
        )
