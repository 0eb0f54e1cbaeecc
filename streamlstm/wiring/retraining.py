"""From a configuration to the options of the retraining job."""

from __future__ import annotations

import re

from streamlstm.config import Config
from streamlstm.config.retraining import Retrain
from streamlstm.jobs.retraining.exclusions import Margins
from streamlstm.jobs.retraining.options import RetrainingOptions, SourceTopics
from streamlstm.patterns import glob_to_regex
from streamlstm.wiring.transports import output_topics
from streamlstm.wiring.worker import decoder_of, pipeline_options

__all__ = ["retraining_options"]


def retraining_options(config: Config, section: Retrain, *, now_ms: int) -> RetrainingOptions:
    """Take the retraining part of a configuration. Raises: UsageError when the range ends before it begins."""
    begin_ms, end_ms = section.range_ms(now_ms)
    pipeline, leave = pipeline_options(config), section.leave_out
    alerts_topic = f"{config.sinks.prefix}alerts"
    training = section.model.model_dump() | section.training.model_dump()
    return RetrainingOptions(
        name=section.name,
        sources=tuple(SourceTopics(source.topics, decoder_of(source)) for source in config.sources),
        is_wanted=_Streams(config, section),
        own_topics=frozenset({*output_topics(config), f"{config.sinks.prefix}state", f"{config.sinks.prefix}scores"}),
        begin_ms=begin_ms,
        end_ms=end_ms,
        starts_anew=section.start == "anew",
        compare=section.compare,
        margin=section.margin,
        keep=section.keep,
        max_rows=section.max_rows,
        alerts_topic=alerts_topic if leave.alerts else None,
        labels=leave.labels,
        margins=Margins(leave.before_ms, leave.after_ms),
        channels=section.channels,
        period_ms=pipeline.period_ms,
        reset_after_ms=pipeline.gaps.reset_after_ms,
        threshold=pipeline.threshold,
        alerts=pipeline.alerts,
        training=training,
    )


class _Streams:
    """Says which streams are learnt from: those of `match`, or those that the worker gives to the champion."""

    def __init__(self, config: Config, section: Retrain) -> None:
        earlier: list[str] = []
        pattern = section.match
        if pattern is None:
            assert config.retrained is not None  # `conflicts` has looked
            *earlier, pattern = (model.match for model in config.models[: config.retrained + 1])
        self._pattern: re.Pattern[str] = glob_to_regex(pattern)
        self._earlier = [glob_to_regex(one) for one in earlier]

    def __call__(self, stream_id: str) -> bool:
        return self._pattern.fullmatch(stream_id) is not None and not any(
            earlier.fullmatch(stream_id) for earlier in self._earlier
        )
