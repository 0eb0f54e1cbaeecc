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
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, TransportError
from streamlstm.evaluation.comparison import ForecastErrors, LaterPart, false_alarms, forecast_errors, later_part
from streamlstm.jobs.retraining.exclusions import Span, alerted_spans, labelled_spans, leave_out
from streamlstm.jobs.retraining.options import RetrainingOptions
from streamlstm.jobs.retraining.outcome import FalseAlarms, LeftOut, Losses, Outcome, decide
from streamlstm.jobs.retraining.telemetry import Collector, Telemetry, cut_at_silences, period_of
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.registry import Registry
from streamlstm.ports import HistoryReader
from streamlstm.recordings.series import StreamSamples
from streamlstm.streaming.decoding.samples import Decoder
from streamlstm.training.causal.plan import make_plan
from streamlstm.training.fit import run_plan
from streamlstm.training.plan import BundleLabels
from streamlstm.training.trainer import TrainingProgress
from streamlstm.types import GapPolicy

__all__ = ["retrain"]

_log = logging.getLogger(__name__)

_LEAST_ROWS = 100
"""Of a piece, to train on: less than the trainer would split into training, validation and calibration."""
_PERIODS_OF_SILENCE = 10
"""Without `gaps.reset_after` the worker starts no state again; but what comes ten samples late was not forecast."""
_SAY_EVERY_S = 5.0
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
        return _Run(options, reader, registry).to_the_end(on_progress, dry_run=True)
    with registry.lock(options.name, holder):
        return _Run(options, reader, registry).to_the_end(on_progress, dry_run=False)


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

    def to_the_end(self, on_progress: Callable[[TrainingProgress], None] | None, *, dry_run: bool) -> Outcome:
        o, champion = self._options, self._champion
        telemetry = self._telemetry()
        period_ms = o.period_ms or (champion.period_s * 1000 if champion else 0) or period_of(telemetry.streams)
        silence_ms = o.reset_after_ms or _PERIODS_OF_SILENCE * period_ms
        alerted, labelled = self._alerted(), labelled_spans(o.labels) if o.labels else []
        pieces, rows_out = leave_out(cut_at_silences(telemetry.streams, longest_ms=silence_ms), [*alerted, *labelled])
        first_ms = min(int(piece.event_time_ms[0]) for piece in pieces)
        last_ms = max(int(piece.event_time_ms[-1]) for piece in pieces)
        cut_ms = self._cut(first_ms, last_ms)
        values, short_rows = _training_values(pieces, cut_ms)
        training_rows = sum(map(len, values.values()))
        _log.info(
            "%d streams, %s samples: %s in %d pieces for training, %s left out; comparing from %s on",
            len(telemetry.streams),
            f"{telemetry.rows:,}",
            f"{training_rows:,}",
            len(values),
            f"{rows_out:,}",
            _written(cut_ms),
        )
        if not values or not any(np.isfinite(one).any() for one in values.values()):
            raise _too_little(telemetry.rows, rows_out, cut_ms)
        start = None if o.starts_anew else champion
        plan = make_plan(values, channels=telemetry.channels, start=start, **o.training)
        for sentence in plan.choices:
            _log.info("%s", sentence)
        published, why = False, "a dry run trains and publishes nothing"
        new: int | None = None
        losses, alarms = Losses(), FalseAlarms()
        if not dry_run:
            training = run_plan(
                plan,
                BundleLabels(
                    period_s=period_ms / 1000,
                    units=champion.units if champion else (),
                    name=o.name,
                    created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                ),
                on_progress=on_progress,
            )
            made = {"range": [_written(first_ms), _written(cut_ms)], _TRAINED_UNTIL: cut_ms - 1}
            bundle = replace(training.bundle, training=training.bundle.training | made)
            parts = later_part(pieces, cut_ms)
            losses, alarms = self._compare(bundle, parts, period_ms)
            published, why = decide(
                losses.old, losses.new, margin=o.margin, champion=champion.label if champion else None
            )
            if published:
                new = self._registry.publish(o.name, bundle)
                self._registry.promote(o.name, new)
            self._registry.prune(o.name, keep=o.keep)
            _log.info("%s: %s", f"published as {o.name}@{new}" if published else "not published", why)
        return Outcome(
            model=o.name,
            published=published,
            why=why,
            old=self._old,
            new=new,
            from_=_written(first_ms),
            compared_from=_written(cut_ms),
            until=_written(last_ms),
            streams=len(telemetry.streams),
            records=telemetry.records,
            rows=telemetry.rows,
            training_rows=training_rows,
            duplicates=telemetry.duplicates,
            rejected=telemetry.rejected,
            left_out=LeftOut(len(alerted), len(labelled), rows_out, short_rows),
            losses=losses,
            false_alarms_per_stream_day=alarms,
            dry_run=dry_run,
            seconds=round(time.monotonic() - self._began_s, 3),
        )

    def _telemetry(self) -> Telemetry:
        """Read the samples of the range."""
        o, champion = self._options, self._champion
        collector = Collector(
            channels=o.channels or (champion.channels if champion else None),
            is_wanted=o.is_wanted,
            max_rows=o.max_rows,
        )
        said_at = time.monotonic()
        for topics, decoder in self._topics():
            records = self._reader.read(topics, begin_ms=o.begin_ms, end_ms=o.end_ms)
            for count in collector.read(records, decoder):
                if time.monotonic() - said_at >= _SAY_EVERY_S:
                    said_at = time.monotonic()
                    _log.info("read %s records, %s samples", f"{count:,}", f"{collector.rows:,}")
        telemetry = collector.finish()
        if not telemetry.rows:
            until = "the end" if o.end_ms is None else _written(o.end_ms)
            raise DataError(
                f"expected samples of {o.name}'s streams between {_written(o.begin_ms)} and {until}, got none in "
                f"{telemetry.records:,} records; check retrain.from and retrain.match, and how long the topics keep "
                "their records"
            )
        return telemetry

    def _topics(self) -> list[tuple[list[str], Decoder]]:
        """Return the topics that are there, each with the decoder of the first source that it matches.

        Raises: TransportError when a source has none.
        """
        there = [topic for topic in self._reader.topics() if topic not in self._options.own_topics]
        found: list[tuple[list[str], Decoder]] = []
        taken: set[str] = set()
        for source in self._options.sources:
            topics = [t for t in there if t not in taken and any(fnmatchcase(t, p) for p in source.patterns)]
            taken.update(topics)
            if topics:
                found.append((topics, source.decoder))
        if not found:
            wanted = ", ".join(pattern for source in self._options.sources for pattern in source.patterns)
            raise TransportError(f"there is no topic that matches {wanted}; topics there: {', '.join(there) or 'none'}")
        return found

    def _alerted(self) -> list[Span]:
        """Read the whole alerts topic: an alert that is open may have been written long before the range."""
        topic = self._options.alerts_topic
        if topic is None or topic not in self._reader.topics():
            return []
        return alerted_spans(self._reader.read([topic], begin_ms=None, end_ms=None), self._options.margins)

    def _cut(self, first_ms: int, last_ms: int) -> int:
        """Return the time that parts training from comparison."""
        cut_ms = last_ms - round(self._options.compare * (last_ms - first_ms))
        seen_ms = self._champion.training.get(_TRAINED_UNTIL) if self._champion else None
        if isinstance(seen_ms, int) and cut_ms <= seen_ms:
            _log.info("the champion was trained on samples up to %s: only later ones are compared", _written(seen_ms))
            cut_ms = seen_ms + 1
        return cut_ms

    def _compare(self, bundle: ModelBundle, parts: Sequence[LaterPart], period_ms: float) -> tuple[Losses, FalseAlarms]:
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
        return losses, FalseAlarms(alarms(champion) if champion else None, alarms(bundle))


def _training_values(pieces: Sequence[StreamSamples], cut_ms: int) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Return what lies before the cut, piece by piece, and how many rows are in pieces too short to train on."""
    values: dict[str, NDArray[np.float32]] = {}
    short = number = 0
    for piece in pieces:
        end = int(np.searchsorted(piece.event_time_ms, cut_ms))
        if end < _LEAST_ROWS:
            short += end
            continue
        number += 1
        key = piece.stream_id if piece.stream_id not in values else f"{piece.stream_id}#{number}"
        values[key] = piece.values[:end]
    return values, short


def _too_little(rows: int, rows_out: int, cut_ms: int) -> DataError:
    advice = "lengthen the range (retrain.from)"
    if rows_out > rows / 2:
        advice = "if what is alerted on has become normal, set retrain.leave_out.alerts to false"
    return DataError(
        f"expected a stretch of at least {_LEAST_ROWS} samples before {_written(cut_ms)} to train on, got none: of "
        f"{rows:,} samples in the range {rows_out:,} are left out; {advice}"
    )


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _written(time_ms: int) -> str:
    moment = datetime.fromtimestamp(min(time_ms, 253_402_300_799_000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
