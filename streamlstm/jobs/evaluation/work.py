"""One case under one seed: trained on its warm-up, scored, judged, written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlstm.errors import StreamLstmError
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.measures.labels import label_spans
from streamlstm.evaluation.scored import ScoredSeries, score_series, scores_of_a_prefix_are_the_same
from streamlstm.evaluation.series_measures import ranking_measures
from streamlstm.jobs.evaluation.files import scores_file, write_scores
from streamlstm.jobs.evaluation.options import Case
from streamlstm.jobs.evaluation.outcome import OURS, CaseOutcome, MethodOutcome
from streamlstm.kernels.threads import single_thread
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.training.fit import train
from streamlstm.training.trainer import TrainingProgress

__all__ = ["Work", "evaluate_case"]


@dataclass(frozen=True, slots=True)
class Work:
    """A case and a seed. What has no seed, the bundle it is held against, is scored with the first one."""

    case: Case
    seed: int
    against: Path | None
    out: Path | None


def evaluate_case(work: Work, tell: Callable[[str], None] = lambda _: None) -> CaseOutcome:
    """Evaluate a case, and tell what is being done; one that cannot be evaluated says why."""
    began = time.monotonic()
    try:
        with single_thread():
            methods, notes = _evaluate(work, tell)
    except (StreamLstmError, MemoryError) as error:
        reason = str(error) or "not enough memory"
        return CaseOutcome(work.case.name, work.seed, time.monotonic() - began, failure=reason)
    return CaseOutcome(work.case.name, work.seed, time.monotonic() - began, tuple(methods), notes=notes)


def _evaluate(work: Work, tell: Callable[[str], None]) -> tuple[list[MethodOutcome], tuple[str, ...]]:
    tell("reading")
    series = work.case.read()
    models = [(OURS, _trained(series, work.seed, tell))]
    if work.against is not None and work.seed == 1:
        bundle = ModelBundle.load(work.against)
        models.append((bundle.label, bundle))
    found = []
    for method, bundle in models:
        for one in series:
            if set(bundle.channels) & set(one.series.channels):
                found.append(_judge(work, method, bundle, one, tell))
    inputs = {one.inputs for one in series if one.inputs}
    notes = [f"{work.case.set_name}: {len(names)} channels besides are inputs, which no model sees" for names in inputs]
    return found, tuple(notes)


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


def _judge(
    work: Work, method: str, bundle: ModelBundle, one: LabelledSeries, tell: Callable[[str], None]
) -> MethodOutcome:
    rows = len(one.labels)

    def on_rows(done: int) -> None:
        tell(f"scoring, row {done:,} of {rows:,}")

    began = time.perf_counter()
    scored = score_series(bundle, one, on_rows=on_rows)
    seconds = time.perf_counter() - began
    if work.out is not None:
        path = scores_file(work.out, one.set_name, one.name, method=method, seed=work.seed)
        write_scores(path, scored, first_row=one.train_len)
    tell("measuring")
    values = ranking_measures(one, scored.score)
    values |= {"samples_per_s": rows / seconds, "prefix_equal": float(_is_causal(bundle, one, scored))}
    return MethodOutcome(
        set_name=one.set_name,
        series=one.name,
        method=method,
        seed=work.seed,
        rows=len(scored.score),
        events=len(label_spans(one.judged_labels)),
        values=values,
    )


def _is_causal(bundle: ModelBundle, one: LabelledSeries, scored: ScoredSeries) -> bool:
    """Score a prefix that ends in the middle of what is judged, at no multiple of anything, and compare."""
    rows = one.train_len + max(len(scored.score) * 5 // 11, 1)
    return scores_of_a_prefix_are_the_same(bundle, one, scored, rows=rows)
