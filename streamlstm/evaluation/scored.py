"""A labelled recording as a detector scores it: the worker's own path, its state carried from the first row on.

Every row is scored, and alerts are followed, from the first row of the warm-up; what is kept begins where the warm-up
ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.replay import put_settled, replay
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector

__all__ = ["ScoredSeries", "score_series", "scores_of_a_prefix_are_the_same"]


@dataclass(frozen=True, slots=True)
class ScoredSeries:
    """What came of the rows that are judged; rows count from the end of the warm-up.

    Shapes: score, p_value, settled float64 [T], NaN = none; under_alert bool [T], the row that opens an alert included;
    opened int64 [K], the rows at which alerts opened, and closed [K], the first row after each at which none was open,
    T where there is none; expected float32 [T, C] in the channels' own units, and
    contribution float32 [T, C].
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    under_alert: NDArray[np.bool_]
    opened: NDArray[np.int64]
    closed: NDArray[np.int64]
    expected: NDArray[np.float32]
    contribution: NDArray[np.float32]
    settled: NDArray[np.float64]


def score_series(
    bundle: ModelBundle, one: LabelledSeries, *, on_rows: Callable[[int], None] | None = None
) -> ScoredSeries:
    """Score a recording as the worker does with its default budget and alerts; `on_rows` is told how many are done.

    Raises: DataError when it has none of the model's channels.
    """
    detector = Detector(bundle, period_s=one.series.period_s, max_streams=16, settled=True)
    recording = Recording.of_series([one.series], bundle.channels, source=one.series.source)
    chunks, opened = [], list[int]()
    under_alert, settled = np.zeros(len(recording), np.bool_), np.full(len(recording), np.nan)
    ids, since = set[str](), 0
    for chunk in replay(detector, recording, alerts=AlertPolicy()):
        chunks.append(chunk.scores)
        put_settled(chunk.scores, settled)
        opened += chunk.opened
        for row, alert in chunk.alerts:
            at = chunk.begin + row
            if alert.state == "open":
                since = since if ids else at
                ids.add(alert.alert_id)
            elif alert.alert_id in ids:
                ids.remove(alert.alert_id)
                under_alert[since:at] |= not ids
        if on_rows is not None:
            on_rows(chunk.end)
    under_alert[since:] |= bool(ids)
    judged = slice(one.train_len, None)
    kept = np.array([row for row in opened if row >= one.train_len], np.int64) - one.train_len
    is_free = np.flatnonzero(np.append(~under_alert[judged], True))
    return ScoredSeries(
        score=np.concatenate([scores.score for scores in chunks])[judged],
        p_value=np.concatenate([scores.p_value for scores in chunks])[judged],
        under_alert=under_alert[judged],
        opened=kept,
        closed=is_free[np.searchsorted(is_free, kept)],
        expected=np.concatenate([scores.expected for scores in chunks])[judged],
        contribution=np.concatenate([scores.contribution for scores in chunks])[judged],
        settled=settled[judged],
    )


def scores_of_a_prefix_are_the_same(
    bundle: ModelBundle, one: LabelledSeries, whole: ScoredSeries, *, rows: int
) -> bool:
    """Score the first `rows` rows of a recording by themselves, and say whether scores and alerts are those of all.

    They are to the bit, where no score rests on what comes after its row; and so are verdicts that the rows bring.
    """
    part = score_series(bundle, one.head(rows))
    kept = rows - one.train_len
    is_settled = ~np.isnan(part.settled)
    return (
        np.array_equal(part.score, whole.score[:kept], equal_nan=True)
        and np.array_equal(part.p_value, whole.p_value[:kept], equal_nan=True)
        and np.array_equal(part.settled[is_settled], whole.settled[:kept][is_settled])
        and np.array_equal(part.under_alert, whole.under_alert[:kept])
        and np.array_equal(part.opened, whole.opened[whole.opened < kept])
    )
