"""The detector of recordings: whole streams in, scores out, each resting on samples before and after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import LOWEST_ALARM, TRUST
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.model.display import Displayed, Facts, first_few, one_line, shown_period
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.thresholds import Threshold
from streamlstm.scoring.windows.errors import estimate_rows, scorable, statistics_of
from streamlstm.types import GapPolicy, Scores, Status

__all__ = ["WindowDetector"]


class WindowDetector(Displayed):
    """Scores whole recordings; nothing is carried from one call to the next.

    A score depends on the stream's own samples alone. A silence longer than `gaps.reset_after_ms`, or an eighth of a
    window without a value, parts a stream in two, and a part shorter than half a window has no scores.

    The alarm is never above the budget's. With a budget below LOWEST_ALARM the score of streams differs: its alarm is
    LOWEST_ALARM as long as less is known than the budget needs (`streamlstm.kernels.scores`).
    """

    needs_whole_series: ClassVar[bool] = True

    def __init__(
        self,
        bundle: WindowBundle,
        *,
        gaps: GapPolicy | None = None,
        threshold: Threshold | None = None,
    ) -> None:
        c = bundle.calibration
        self.bundle = bundle
        self.gaps = gaps or GapPolicy()
        self.threshold = threshold or Threshold()
        self.budget_surprise = self.threshold.budget_surprise(period_s=bundle.period_s, cluster_rows=c.cluster_rows)
        self._tail = c.tail

    @property
    def openings(self) -> OpeningBudget:
        """What the alerts of each stream may come to."""
        return self.threshold.openings(period_s=self.bundle.period_s)

    def _facts(self) -> Facts:
        bundle = self.bundle
        return Facts(
            f"WindowDetector of {one_line(bundle.label)}",
            (
                (("network", bundle.network.architecture.summary),),
                (("channels", first_few(bundle.channels)), ("period", shown_period(bundle.period_s))),
                (("threshold", self.threshold.summary),),
            ),
        )

    def score(
        self,
        stream_ids: Sequence[str],
        event_times_ms: ArrayLike,
        values: ArrayLike,
        *,
        marks: NDArray[np.int64] | None = None,
    ) -> Scores:
        """Score all samples of some streams; the streams may be mixed, each in the order of its samples' arrival.

        `marks` are as those of the other detector, and nothing comes back with them: these scores have seen what came
        after their samples, and are not settled again.

        Shapes: stream_ids [N]; event_times_ms int64 [N]; values float32 [N, C], NaN = missing.
        Raises: ShapeError.
        """
        bundle, times = self.bundle, np.ascontiguousarray(event_times_ms, np.int64)
        rows = np.ascontiguousarray(values, np.float32)
        channels = bundle.channels
        if rows.ndim != 2 or rows.shape[1] != len(channels) or not len(stream_ids) == len(times) == len(rows):
            raise ShapeError(
                f"expected as many stream ids and times as values [N, {len(channels)}] for channels {list(channels)}, "
                f"got {len(stream_ids)}, {len(times)} and {list(rows.shape)}"
            )
        result = Scores(
            score=np.full(len(rows), np.nan),
            p_value=np.full(len(rows), np.nan),
            status=np.full(len(rows), Status.LATE, np.uint8),
            expected=np.full(rows.shape, np.nan, np.float32),
            contribution=np.zeros(rows.shape, np.float32),
        )
        of_stream: dict[str, list[int]] = {}
        for row, stream_id in enumerate(stream_ids):
            of_stream.setdefault(stream_id, []).append(row)
        for chosen in of_stream.values():
            for part in self._parts(np.array(chosen), times):
                is_empty = ~np.isfinite(rows[part]).any(axis=1)
                result.status[part] = np.where(is_empty, Status.GAP, Status.WARMING)
                for long in scorable(bundle.network, rows[part]):
                    self._score_part(part[long], rows, result)
        return result

    def _parts(self, stream: NDArray[np.int64], times: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows of a stream without the late ones, cut where it was silent too long."""
        moments = times[stream]
        newest = np.maximum.accumulate(moments)
        in_order = np.concatenate([[True], moments[1:] > newest[:-1]])
        kept, moments = stream[in_order], moments[in_order]
        if not self.gaps.reset_after_ms:
            return [kept]
        return np.split(kept, np.flatnonzero(np.diff(moments) > self.gaps.reset_after_ms) + 1)

    def _score_part(self, part: NDArray[np.int64], values: NDArray[np.float32], result: Scores) -> None:
        bundle = self.bundle
        c = bundle.calibration
        estimates = estimate_rows(bundle.network, bundle.standardizer, values[part])
        statistic, shares = statistics_of(estimates, c.scales, c.width)
        surprise = self._tail.surprise_of(statistic)
        alarm = math.log(TRUST * (c.rows + len(part)) / c.cluster_rows)
        alarm = min(max(alarm, LOWEST_ALARM), self.budget_surprise)
        result.score[part] = surprise / alarm
        result.p_value[part] = np.exp(-surprise)
        result.status[part] = np.where(estimates.observed.all(axis=1), Status.READY, Status.IMPUTED)
        standardizer = bundle.standardizer
        result.expected[part] = estimates.expected * standardizer.scale + standardizer.mean
        result.contribution[part] = shares / np.where(statistic > 0, statistic, 1.0)[:, None]
