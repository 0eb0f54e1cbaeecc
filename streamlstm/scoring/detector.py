"""The detector: samples of many streams in, scores out. The worker, the command line and notebooks use this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlstm.errors import ShapeError
from streamlstm.kernels import combine_tails, score_streams
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.calibration import StackedTails
from streamlstm.model.display import Displayed, Facts, first_few, one_line, shown_period
from streamlstm.scoring.branches.known import branches_of
from streamlstm.scoring.branches.protocol import blended
from streamlstm.scoring.budget import OpeningBudget
from streamlstm.scoring.channel_runs import runs_of
from streamlstm.scoring.continuation import is_continued_by, pieces_of
from streamlstm.scoring.forward import INPUT_LIMIT, Backend, Forward
from streamlstm.scoring.own_units import OWN_PIECES, own_units_of
from streamlstm.scoring.score_result import ScoreResult, SettledScore
from streamlstm.scoring.settled import SettledVerdicts
from streamlstm.scoring.state import StateDtype, StreamStates
from streamlstm.scoring.thresholds import Threshold
from streamlstm.types import ChannelFindings, GapPolicy, Scores, Settled, Status

__all__ = ["Detector"]

_CHUNK = 4096
"""Rows scored at a time: bounds the head's outputs to some 10 MB at 38 channels."""


class Detector(Displayed):
    """Scores samples, one at a time or in columns, with state carried by stream.

    A score depends on the stream's own samples alone: not on other streams, nor on how samples were batched.
    """

    needs_whole_series: ClassVar[bool] = False

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        gaps: GapPolicy | None = None,
        threshold: Threshold | None = None,
        period_s: float | None = None,
        max_streams: int = 1_000_000,
        threads: int = 1,
        state_dtype: StateDtype = "float32",
        backend: Backend = "fused",
        settled: bool = False,
    ) -> None:
        """Make a detector with no streams yet.

        `period_s` is their sampling period, the bundle's own when None; `threads` share out the network's streams,
        whose states are kept as `state_dtype` between samples; `backend` is the way of its products; `settled`: scores
        come with verdicts on earlier samples, one period later.
        Raises: UsageError when the processor has not what the backend needs.
        """
        calibration = bundle.calibration
        self.bundle = bundle
        self.gaps = gaps or GapPolicy()
        self.threshold = threshold or Threshold()
        self.period_s = bundle.period_s if period_s is None else period_s
        self._forward = Forward(bundle.network, bundle.standardizer, backend=backend, rules=bundle.channel_rules)
        self.isa = self._forward.weights.isa + ("" if backend == "fused" else f" {backend}")
        self._branches = branches_of(bundle)
        self._branch_ends = np.cumsum([len(branch.parts) for branch in self._branches], dtype=np.int64)
        self._runs = runs_of(bundle)
        self._tails = StackedTails.of(calibration.tails)
        self._total_fit = calibration.total.fit
        self._verdicts = SettledVerdicts(bundle.period_rows) if settled else None
        self._own_units = own_units_of(bundle)
        self.states = StreamStates(
            bundle.network.architecture,
            self._forward.weights,
            {
                **pieces_of(self._branches, self._runs),
                **({} if self._verdicts is None else self._verdicts.state),
                **({} if self._own_units is None else self._own_units.state),
            },
            max_streams=max_streams,
            threads=threads,
            state_dtype=state_dtype,
        )
        self.budget_surprise = self.threshold.budget_surprise(
            period_s=self.period_s, cluster_rows=calibration.cluster_rows
        )
        self._rate = 1.0 / calibration.horizon

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts of all branches, branch by branch, such as `forecast/16`."""
        return tuple(self.bundle.calibration.tails)

    @property
    def branch_parts(self) -> Mapping[str, slice]:
        """Which of `parts` are of each branch."""
        starts = (0, *self._branch_ends.tolist())
        names = (branch.name for branch in self._branches)
        return {name: slice(*ends) for name, ends in zip(names, pairwise(starts), strict=True)}

    @property
    def settled_samples(self) -> int:
        """Over how many samples a verdict is the mean; 0 = this detector gives none."""
        return 0 if self._verdicts is None else self._verdicts.samples

    @property
    def openings(self) -> OpeningBudget:
        """What the alerts of each stream may come to."""
        return self.threshold.openings(period_s=self.period_s)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        gaps: GapPolicy | None = None,
        threshold: Threshold | None = None,
        settled: bool = False,
    ) -> Self:
        """Load a bundle and make a detector of it.

        Raises: BundleError when the file is truncated, altered, foreign or of another version.
        """
        return cls(ModelBundle.load(path), gaps=gaps, threshold=threshold, settled=settled)

    def _facts(self) -> Facts:
        bundle, states = self.bundle, self.states
        return Facts(
            f"Detector of {one_line(bundle.label)}",
            (
                (("network", bundle.network.architecture.summary),),
                (("channels", first_few(bundle.channels)), ("period", shown_period(self.period_s))),
                (
                    ("streams", f"{len(states):,} of at most {states.max_streams:,}"),
                    ("threshold", self.threshold.summary),
                    ("runs on", self.isa),
                ),
            ),
        )

    def take_over(self, old: Detector) -> bool:
        """Take over the streams of another model, into this empty detector; say whether their states go on.

        They do where the weights are those of the old model, or were fine-tuned from them, in the same units. A state
        means something to the weights that made it only: under others of the same sizes its streams score as
        anomalies until they have forgotten it, so those begin anew, with their times and their own alarm levels, and
        have no score until they have warmed up.
        Raises: ShapeError when the channels differ.
        """
        if old.bundle.channels != self.bundle.channels:
            raise ShapeError(f"expected a model of {list(self.bundle.channels)}, got {list(old.bundle.channels)}")
        if is_continued_by(old.bundle, self.bundle):
            arrays = old.states.export()
            if self.settled_samples != old.settled_samples and self._verdicts is not None:
                arrays = {name: array for name, array in arrays.items() if name not in self._verdicts.state}
            self.states.restore(list(old.states.slots), arrays)
            return True
        theirs, slots = old.bundle.standardizer, old.states.in_order()
        last = old.states.last[slots] * theirs.scale + theirs.mean
        if old._own_units is not None:
            old._own_units.from_model(slots, last, old.states.pieces)
        last = self.bundle.standardizer.apply(last)
        self.states.follow(old.states, last.clip(-INPUT_LIMIT, INPUT_LIMIT))
        if self._own_units is not None:
            self._own_units.take_over(self.states, old.states)
        return False

    def score_one(self, stream_id: str, event_time_ms: int, row: ArrayLike | Mapping[str, float | None]) -> ScoreResult:
        """Score one sample of one stream.

        Shapes: row [C] in the bundle's channel order, or a mapping by channel name (absent or None = missing).
        Units: event_time_ms in ms since 1970; values in the channels' own units.
        """
        channels = self.bundle.channels
        if isinstance(row, Mapping):
            unknown = sorted(set(row) - set(channels))
            if unknown:
                raise ShapeError(f"row: expected channels among {list(channels)}, got {unknown[0]!r}")
            row = [np.nan if (value := row.get(name)) is None else value for name in channels]
        values = np.asarray(row, np.float32)[None]
        scores = self.score([stream_id], np.array([event_time_ms], np.int64), values)
        has_score = not np.isnan(scores.score[0])
        settled = scores.settled
        return ScoreResult(
            score=float(scores.score[0]) if has_score else None,
            p_value=float(scores.p_value[0]) if has_score else None,
            status=Status(scores.status[0]).label,
            expected=dict(zip(channels, map(float, scores.expected[0]), strict=True)),
            contribution=dict(zip(channels, map(float, scores.contribution[0]), strict=True)),
            settled=(
                SettledScore(int(settled.event_time_ms[0]), float(settled.settled[0]))
                if settled is not None and not np.isnan(settled.settled[0])
                else None
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
        """Score samples in arrival order; streams may be mixed and may repeat.

        `marks` are numbers of the caller's, one a sample, that come back with the verdict on it (`Settled.mark`).
        Shapes: stream_ids [N]; event_times_ms, marks int64 [N]; values float32 [N, C], NaN = missing.
        Raises: ShapeError before any state changes.
        """
        times, rows = self._checked(stream_ids, event_times_ms, values)
        return self._score(stream_ids, times, rows, marks, None)

    def score_by_part(
        self,
        stream_ids: Sequence[str],
        event_times_ms: ArrayLike,
        values: ArrayLike,
        *,
        marks: NDArray[np.int64] | None = None,
    ) -> tuple[Scores, NDArray[np.float64]]:
        """Score samples as `score` does, and say besides what each part of each branch added to the surprise.

        Shapes: as `score`; the second float64 [N, parts], in the order of `parts`, NaN for late samples.
        Raises: ShapeError before any state changes.
        """
        times, rows = self._checked(stream_ids, event_times_ms, values)
        said = np.full((len(rows), len(self.parts)), np.nan)
        return self._score(stream_ids, times, rows, marks, said), said

    def _checked(
        self, stream_ids: Sequence[str], event_times_ms: ArrayLike, values: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        times = np.ascontiguousarray(event_times_ms, np.int64)
        rows = np.ascontiguousarray(values, np.float32)
        channels = len(self.bundle.channels)
        if rows.ndim != 2 or rows.shape[1] != channels:
            raise ShapeError(
                f"values: expected [N, {channels}] for channels {list(self.bundle.channels)}, got {list(rows.shape)}"
            )
        if not len(stream_ids) == len(times) == len(rows):
            raise ShapeError(
                f"expected as many stream ids and times as the {len(rows)} rows, got {len(stream_ids)} and {len(times)}"
            )
        return times, rows

    def _score(
        self,
        stream_ids: Sequence[str],
        times: NDArray[np.int64],
        rows: NDArray[np.float32],
        marks: NDArray[np.int64] | None,
        said: NDArray[np.float64] | None,
    ) -> Scores:
        marks = np.zeros(len(rows), np.int64) if marks is None else np.ascontiguousarray(marks, np.int64)
        if len(marks) != len(rows):
            raise ShapeError(f"marks: expected one for each of the {len(rows)} rows, got {len(marks)}")
        slots = self.states.slots_of(stream_ids)
        channels = rows.shape[1]
        result = Scores(
            score=np.full(len(rows), np.nan),
            p_value=np.full(len(rows), np.nan),
            status=np.empty(len(rows), np.uint8),
            expected=np.full((len(rows), channels), np.nan, np.float32),
            contribution=np.zeros((len(rows), channels), np.float32),
            settled=None if self._verdicts is None else Settled.none(len(rows)),
        )
        findings, start = [], 0
        while start < len(rows):
            chunk = slice(start, self._same_units(slots, times, rows, start))
            found = self._score_chunk(slots[chunk], times[chunk], rows[chunk], marks[chunk], chunk, result, said)
            findings += [] if found is None else [(start, found)]
            if self._own_units is not None and (others := self._own_units.decide(slots[chunk], self.states)):
                self.states.begin_anew(others, kept=OWN_PIECES)
            start = chunk.stop
        return replace(result, findings=ChannelFindings.joined(findings)) if findings else result

    def _same_units(
        self, slots: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float32], start: int
    ) -> int:
        """Return up to which row the samples from `start` on can be scored together."""
        stop = min(start + _CHUNK, len(slots))
        if self._own_units is None:
            return stop
        rows = slice(start, stop)
        forget_after_ms = self.gaps.forget_after_ms
        return start + self._own_units.follow(
            slots[rows], times[rows], values[rows], self.states, forget_after_ms=forget_after_ms
        )

    def _score_chunk(
        self,
        slots: NDArray[np.int64],
        times: NDArray[np.int64],
        values: NDArray[np.float32],
        marks: NDArray[np.int64],
        chunk: slice,
        result: Scores,
        said: NDArray[np.float64] | None,
    ) -> ChannelFindings | None:
        """Write the scores of a chunk; return what is found of its channels, by its rows."""
        calibration, states = self.bundle.calibration, self.states
        own = self._own_units
        if own is not None and not own.have_units(slots, states.pieces):
            own = None
        in_model = values if own is None else own.to_model(slots, values, states.pieces)
        forward = self._forward.run(states, slots, times, in_model, self.gaps)
        count = len(forward.admitted)
        measured = [branch.advance(forward, states.pieces) for branch in self._branches]
        found = [one.statistics for one in measured]
        statistics = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
        combined, by_branch = np.empty(count), np.empty((count, len(measured)))
        self._combine(statistics, combined, self._branch_ends, by_branch)
        status = forward.status[forward.admitted]
        score, p_value = np.empty(count), np.empty(count)
        score_streams(
            forward.slots,
            combined=combined,
            row_ages=forward.ages,
            reset=forward.reset,
            measured=forward.measured,
            statistic=calibration.total.statistic,
            surprise=calibration.total.surprise,
            fit=self._total_fit,
            budget_surprise=self.budget_surprise,
            calibration_rows=calibration.rows,
            cluster_rows=calibration.cluster_rows,
            rate=self._rate,
            warm_up=calibration.warm_up,
            **states.learning,
            status=status,
            score=score,
            p_value=p_value,
        )
        rows = forward.admitted + chunk.start
        result.status[chunk] = forward.status
        result.status[rows] = status
        result.score[rows] = score
        result.p_value[rows] = p_value
        result.contribution[rows] = blended(measured, by_branch)
        if said is not None:
            by_part = np.empty((count, len(self.parts)))
            self._combine(statistics, combined, np.arange(1, len(self.parts) + 1), by_part)
            said[rows] = by_part
        if self._verdicts is not None and result.settled is not None:
            verdicts = self._verdicts.advance(
                forward.slots,
                score=score,
                reset=forward.reset,
                event_time_ms=times[forward.admitted],
                marks=marks[forward.admitted],
                state=states.pieces,
            )
            result.settled.put(rows, verdicts)
        standardizer = self.bundle.standardizer
        expected = measured[0].expected * standardizer.scale + standardizer.mean
        if own is not None:
            own.from_model(forward.slots, expected, states.pieces)
        result.expected[rows] = expected
        return None if self._runs is None else self._runs.advance(forward, times, values, states.pieces)

    def _combine(
        self,
        statistics: NDArray[np.float32],
        combined: NDArray[np.float64],
        ends: NDArray[np.int64],
        said: NDArray[np.float64],
    ) -> None:
        combine_tails(
            statistics,
            statistics=self._tails.statistics,
            surprises=self._tails.surprises,
            fits=self._tails.fits,
            weights=self._tails.weights,
            combined=combined,
            ends=ends,
            said=said,
        )
