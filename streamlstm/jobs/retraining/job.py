"""One run of the retraining job.

1. The model's lock is taken: two jobs never write one model.
2. The range is read, outside any group: telemetry of the streams that the model serves, and the alerts.
3. What was alerted on or labelled is made missing.
4. The time of the range is cut once, for all streams: the new model is trained on what lies before, from the champion
   or anew, and calibrated there too.
5. Old and new are compared on what lies behind. The cut is never before the end of the champion's own training.
6. If the new one is better by the margin it is published: written whole, then made the champion. The newest versions
   are kept.

Killed at any moment it leaves nothing that a reader could see, or a version that nobody points at.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from streamlstm.errors import DataError
from streamlstm.evaluation.comparison import ForecastErrors, LaterPart, false_alarms, forecast_errors, later_part
from streamlstm.jobs.power import with_power
from streamlstm.jobs.retraining.exclusions import exclude
from streamlstm.jobs.retraining.options import RetrainingOptions
from streamlstm.jobs.retraining.outcome import Decision, Exclusions, FalseAlarms, Losses, Outcome, decide, written
from streamlstm.jobs.retraining.reading import read_alerted_spans, read_telemetry
from streamlstm.jobs.retraining.split import LEAST_ROWS, Split, split_range
from streamlstm.jobs.retraining.telemetry import TelemetryRange, cut_at_silences, period_of
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry
from streamlstm.ports import HistoryReader
from streamlstm.recordings.labels import labelled_spans
from streamlstm.recordings.series import StreamSamples
from streamlstm.training.causal.plan import CausalPlan, make_plan
from streamlstm.training.fit import run_plan
from streamlstm.training.plan import BundleLabels
from streamlstm.training.trainer import TrainingProgress
from streamlstm.types import GapPolicy

__all__ = ["retrain"]

_log = logging.getLogger(__name__)

_PERIODS_OF_SILENCE = 10
"""Without `gaps.reset_after` the worker starts no state again; but what comes ten samples late was not forecast."""
_TRAINED_UNTIL = "trained_until_ms"


def retrain(
    options: RetrainingOptions,
    reader: HistoryReader,
    registry: Registry,
    *,
    holder: str,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Run the job; `holder` tells others who holds the lock. A dry run reads and plans, and writes nothing.

    Raises: RegistryError at once when another holds the lock; TransportError; DataError when there is too little to
    train on; BundleError when the champion's file is broken.
    """
    if dry_run:
        return _Run(options, reader, registry).plan_only()
    with registry.lock(options.name, holder):
        return _Run(options, reader, registry).train_and_publish(on_progress)


@dataclass(frozen=True, slots=True)
class _Range:
    """What was read: telemetry in pieces without silences, its excluded values missing."""

    telemetry: TelemetryRange
    period_ms: float
    pieces: list[StreamSamples]
    alerted_spans: int
    labelled_spans: int
    excluded_rows: int


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How the models did on the compared part."""

    losses: Losses
    false_alarms: FalseAlarms


class _Run:
    """The steps of one run, in the order of the module's docstring."""

    def __init__(self, options: RetrainingOptions, reader: HistoryReader, registry: Registry) -> None:
        self._options = options
        self._reader = reader
        self._registry = registry
        self._began_s = time.monotonic()
        self._old = registry.champion(options.name)
        self._champion: ModelBundle | None = None
        if self._old is not None:
            self._champion = ModelBundle.load(registry.path(options.name, self._old))
            if options.channels not in (None, self._champion.channels):
                raise DataError(
                    f"{self._champion.label} has the channels {list(self._champion.channels)}, and retrain.channels "
                    f"says {list(options.channels or ())}; publish a model of other channels under another name"
                )

    def plan_only(self) -> Outcome:
        read = self._read()
        split = self._split(read)
        self._plan(read, split)
        nothing = Decision(False, "a dry run trains and publishes nothing")
        return self._summary(read, split, _Comparison(Losses(), FalseAlarms()), nothing, dry_run=True)

    def train_and_publish(self, on_progress: Callable[[TrainingProgress], None] | None) -> Outcome:
        read = self._read()
        split = self._split(read)
        bundle = self._train(self._plan(read, split), read, split, on_progress)
        compared = self._compare(bundle, later_part(read.pieces, split.cut_ms), read.period_ms)
        old = self._champion.label if self._champion else None
        decision = decide(compared.losses.old, compared.losses.new, margin=self._options.margin, champion=old)
        new = self._publish(bundle, decision)
        return self._summary(read, split, compared, decision, new=new)

    def _read(self) -> _Range:
        """Read telemetry, alerts and labels; cut streams at silences, and exclude what is not normal."""
        o, champion = self._options, self._champion
        channels = o.channels or (champion.channels if champion else None)
        telemetry = read_telemetry(o, self._reader, channels=channels)
        period_ms = o.period_ms or (champion.period_s * 1000 if champion else 0) or period_of(telemetry.streams)
        silence_ms = o.reset_after_ms or _PERIODS_OF_SILENCE * period_ms
        alerted = read_alerted_spans(o, self._reader)
        labelled = labelled_spans(o.labels) if o.labels else []
        pieces, rows = exclude(cut_at_silences(telemetry.streams, longest_ms=silence_ms), [*alerted, *labelled])
        return _Range(telemetry, period_ms, pieces, len(alerted), len(labelled), rows)

    def _split(self, read: _Range) -> Split:
        """Cut the range. Raises: DataError when there is too little to train on."""
        seen_ms = self._champion.training.get(_TRAINED_UNTIL) if self._champion else None
        split = split_range(read.pieces, compare=self._options.compare, trained_until_ms=seen_ms)
        _log.info(
            "%d streams, %s samples: %s in %d pieces for training, %s left out; comparing from %s on",
            len(read.telemetry.streams),
            f"{read.telemetry.rows:,}",
            f"{split.training_rows:,}",
            len(split.training),
            f"{read.excluded_rows:,}",
            written(split.cut_ms),
        )
        if not split.has_values:
            raise _too_little(read.telemetry.rows, read.excluded_rows, split.cut_ms)
        return split

    def _plan(self, read: _Range, split: Split) -> CausalPlan:
        start = None if self._options.starts_anew else self._champion
        channels, declared = read.telemetry.channels, self._champion.declared if self._champion else {}
        kept = {name: one for name, one in declared.items() if name in channels}
        plan = make_plan(split.training, channels=channels, start=start, declared=kept, **self._options.training)
        for sentence in plan.choices:
            _log.info("%s", sentence)
        return plan

    def _train(
        self,
        plan: CausalPlan,
        read: _Range,
        split: Split,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> ModelBundle:
        """Train and calibrate on what lies before the cut; the bundle tells which time that was."""
        labels = BundleLabels(
            period_s=read.period_ms / 1000,
            units=self._champion.units if self._champion else (),
            name=self._options.name,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        training = run_plan(plan, labels, on_progress=on_progress)
        bundle = with_power(training.bundle, plan, updates=training.fit.updates)
        trained = {"range": [written(split.first_ms), written(split.cut_ms)], _TRAINED_UNTIL: split.cut_ms - 1}
        return replace(bundle, training=bundle.training | trained)

    def _compare(self, bundle: ModelBundle, parts: Sequence[LaterPart], period_ms: float) -> _Comparison:
        o, champion = self._options, self._champion
        scale = (champion or bundle).standardizer.scale
        new = forecast_errors(bundle, parts, scale)
        old = forecast_errors(champion, parts, scale) if champion else ForecastErrors({}, 0)

        def alarms(of: ModelBundle) -> float | None:
            gaps = GapPolicy(reset_after_ms=o.reset_after_ms)
            rate = false_alarms(of, parts, threshold=o.threshold, policy=o.alerts, gaps=gaps, period_s=period_ms / 1000)
            return _number(rate)

        losses = Losses(
            old=_number(old.mean),
            new=_number(new.mean),
            channels={
                name: (_number(old.by_channel.get(name, math.nan)), _number(error))
                for name, error in new.by_channel.items()
            },
            values=new.values,
        )
        return _Comparison(losses, FalseAlarms(alarms(champion) if champion else None, alarms(bundle)))

    def _publish(self, bundle: ModelBundle, decision: Decision) -> int | None:
        """Publish the model if that was decided, and make it the champion; return its version."""
        name, new = self._options.name, None
        if decision.is_published:
            new = self._registry.publish(name, bundle)
            self._registry.promote(name, new)
        self._registry.prune(name, keep=self._options.keep)
        _log.info("%s: %s", "not published" if new is None else f"published as {name}@{new}", decision.why)
        return new

    def _summary(
        self,
        read: _Range,
        split: Split,
        compared: _Comparison,
        decision: Decision,
        *,
        new: int | None = None,
        dry_run: bool = False,
    ) -> Outcome:
        telemetry = read.telemetry
        return Outcome(
            model=self._options.name,
            published=decision.is_published,
            why=decision.why,
            old=self._old,
            new=new,
            from_=written(split.first_ms),
            compared_from=written(split.cut_ms),
            until=written(split.last_ms),
            streams=len(telemetry.streams),
            records=telemetry.records,
            rows=telemetry.rows,
            training_rows=split.training_rows,
            duplicates=telemetry.duplicates,
            rejected=telemetry.rejected,
            left_out=Exclusions(read.alerted_spans, read.labelled_spans, read.excluded_rows, split.short_rows),
            losses=compared.losses,
            false_alarms_per_stream_day=compared.false_alarms,
            dry_run=dry_run,
            seconds=round(time.monotonic() - self._began_s, 3),
        )


def _too_little(rows: int, excluded_rows: int, cut_ms: int) -> DataError:
    advice = "lengthen the range (retrain.from)"
    if excluded_rows > rows / 2:
        advice = "if what is alerted on has become normal, set retrain.leave_out.alerts to false"
    return DataError(
        f"expected a stretch of at least {LEAST_ROWS} samples before {written(cut_ms)} to train on, got none: of "
        f"{rows:,} samples in the range {excluded_rows:,} are left out; {advice}"
    )


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
