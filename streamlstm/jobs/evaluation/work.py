"""One case under one seed: trained on its warm-up, scored, judged, written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlstm.errors import StreamLstmError
from streamlstm.evaluation.baselines.catalogue import BASELINES
from streamlstm.evaluation.excerpts import Excerpt, excerpts
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.measures.labels import label_spans
from streamlstm.evaluation.measures.rules import rules_of
from streamlstm.evaluation.scored import ScoredSeries, score_series, scores_of_a_prefix_are_the_same
from streamlstm.evaluation.series_measures import (
    alert_counts,
    clean_distance,
    days_judged,
    nab_scores,
    ranking_measures,
)
from streamlstm.jobs.evaluation.files import scores_file, write_scores
from streamlstm.jobs.evaluation.options import Case
from streamlstm.jobs.evaluation.outcome import OURS, Alerts, CaseOutcome, MethodOutcome
from streamlstm.kernels.threads import single_thread
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.training.fit import train
from streamlstm.training.trainer import TrainingProgress

__all__ = ["Work", "evaluate_case"]


@dataclass(frozen=True, slots=True)
class Work:
    """A case and a seed. What has no seed, a bundle beside and the baselines, is scored with the first one."""

    case: Case
    seed: int
    against: Path | None
    out: Path | None


def evaluate_case(work: Work, tell: Callable[[str], None] = lambda _: None) -> CaseOutcome:
    """Evaluate a case, and tell what is being done; one that cannot be evaluated says why."""
    try:
        with single_thread():
            return _evaluate(work, tell)
    except (StreamLstmError, MemoryError) as error:
        return CaseOutcome(work.case.name, work.seed, failure=str(error) or "not enough memory")


def _evaluate(work: Work, tell: Callable[[str], None]) -> CaseOutcome:
    tell("reading")
    series = work.case.read()
    models = [(OURS, _trained(series, work.seed, tell))]
    if work.against is not None and work.seed == 1:
        bundle = ModelBundle.load(work.against)
        models.append((bundle.label, bundle))
    methods, pictured = [], list[Excerpt]()
    for method, bundle in models:
        for one in series:
            if not set(bundle.channels) & set(one.series.channels):
                continue
            tell(f"{method} scores {one.name}")
            began = time.perf_counter()
            scored = score_series(bundle, one)
            seconds = time.perf_counter() - began
            if work.out is not None:
                path = scores_file(work.out, one.set_name, one.name, method=method, seed=work.seed)
                write_scores(path, scored, first_row=one.train_len)
            tell(f"{one.name} is judged")
            methods.append(_judged(work, method, bundle, one, scored, seconds))
            if method == OURS and work.seed == 1:
                pictured += excerpts(one, scored, tolerance=rules_of(one.set_name).tolerance)
    if work.seed == 1:
        for one in series:
            methods += _baselines(work, one, tell)
    notes = {
        f"{one.set_name}: {len(one.inputs)} channels besides are inputs, which no model sees"
        for one in series
        if one.inputs
    }
    return CaseOutcome(work.case.name, work.seed, tuple(methods), tuple(pictured), tuple(sorted(notes)))


def _trained(series: Sequence[LabelledSeries], seed: int, tell: Callable[[str], None]) -> ModelBundle:
    """Train as `streamlstm train` does where nothing is said: one model of all warm-ups."""

    def on_progress(at: TrainingProgress) -> None:
        tell(f"training, update {at.update:,} of {at.of:,}")

    first = series[0].series
    return train(
        {one.name: one.series.values[: one.train_len] for one in series},
        channels=first.channels,
        units=first.units,
        period_s=first.period_s,
        name=OURS,
        seed=seed,
        on_progress=on_progress,
    )


def _judged(
    work: Work, method: str, bundle: ModelBundle, one: LabelledSeries, scored: ScoredSeries, seconds: float
) -> MethodOutcome:
    values = ranking_measures(one, scored.score)
    values |= {f"settled_{name}": value for name, value in ranking_measures(one, scored.settled).items()}
    values |= {
        "clean_distance": clean_distance(one, scored),
        "prefix_equal": float(_is_causal(bundle, one, scored)),
    }
    counts = alert_counts(one, scored)
    return MethodOutcome(
        set_name=one.set_name,
        series=one.name,
        method=method,
        seed=work.seed,
        rows=counts.rows,
        events=counts.events,
        scored_rows=len(one.labels),
        scored_s=seconds,
        values=values,
        alerts=Alerts(counts, days_judged(one), one.series.period_s),
        nab=nab_scores(one, scored.score, scored.opened),
    )


def _baselines(work: Work, one: LabelledSeries, tell: Callable[[str], None]) -> Iterator[MethodOutcome]:
    """Score the same rows with every baseline that has something to measure in so many channels."""
    values = one.series.values
    for baseline in BASELINES:
        if values.shape[1] < baseline.fewest_channels:
            continue
        tell(f"{baseline.name} scores {one.name}")
        began = time.perf_counter()
        scores = baseline.scores(values, one.train_len)[one.train_len :]
        seconds = time.perf_counter() - began
        yield MethodOutcome(
            set_name=one.set_name,
            series=one.name,
            method=baseline.name,
            seed=work.seed,
            rows=len(scores),
            events=len(label_spans(one.judged_labels)),
            scored_rows=len(values),
            scored_s=seconds,
            values=ranking_measures(one, scores),
            nab=nab_scores(one, scores, None),
        )


def _is_causal(bundle: ModelBundle, one: LabelledSeries, scored: ScoredSeries) -> bool:
    """Score a prefix that ends in the middle of what is judged, at no multiple of anything, and compare."""
    rows = one.train_len + max(len(scored.score) * 5 // 11, 1)
    return scores_of_a_prefix_are_the_same(bundle, one, scored, rows=rows)
