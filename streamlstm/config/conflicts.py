"""What no single section can see: contradictions across a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from streamlstm.config.schema import Config
from streamlstm.config.source import KeyPath

__all__ = ["conflicts"]


def conflicts(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield every contradiction: key path, and a sentence with what was expected and what came."""
    if config.kafka and config.local:
        yield ("local",), "expected one of kafka and local, got both"
    if config.kafka and config.app.guarantee == "exactly_once":
        yield (
            ("app", "guarantee"),
            "expected at_least_once with kafka, got exactly_once, which only the local transport gives "
            "(score records carry their source position, so that a reader can drop repeats)",
        )
    if config.sinks.settled and config.sinks.scores == "off":
        yield ("sinks", "settled"), "expected false where scores are off, as verdicts go beside them, got true"
    yield from _source_conflicts(config)
    for index, model in enumerate(config.models):
        if model.match in {earlier.match for earlier in config.models[:index]}:
            yield ("models", index, "match"), f"expected each pattern once, got {model.match!r} again"
    if config.retrain is not None and config.retrain.match is None and config.retrained is None:
        yield (
            ("retrain", "match"),
            f"expected a pattern of stream ids, or a model whose bundle is {config.retrain.registry}/"
            f"{config.retrain.name}/champion to take it from, got neither",
        )


def _source_conflicts(config: Config) -> Iterator[tuple[KeyPath, str]]:
    outputs = {config.sinks.prefix + name for name in ("scores", "alerts", "dlq", "state")}
    seen: set[str] = set()
    for index, source in enumerate(config.sources):
        here = ("sources", index)
        if source.start != config.sources[0].start:
            yield (*here, "start"), f"expected one start for all sources, got {source.start!r} after another"
        if source.stream_id == source.ts.path:
            yield (*here, "ts", "path"), f"expected another field than that of stream_id, got {source.ts.path!r}"
        for key, path in ((*here, "stream_id"), source.stream_id), ((*here, "ts", "path"), source.ts.path):
            if path == "$.values":
                yield key, "expected another field than '$.values', which holds the channels"
        for item, topic in enumerate(source.topics):
            if topic in seen:
                yield (*here, "topics", item), f"expected each topic once, got {topic!r} again"
            if topic in outputs:
                yield (*here, "topics", item), f"expected an input, got {topic!r}, where results are written"
            seen.add(topic)
