"""What the file of `streamlstm train` may hold. What a missing key means is chosen from the data, and logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field, FiniteFloat, PlainValidator, WithJsonSchema, model_validator

from streamlstm.config.loader import schema_of, validate
from streamlstm.config.section import Section
from streamlstm.config.source import Document, KeyPath, Plain, key_path, read_document
from streamlstm.config.trainer import NetworkShape, TrainerSettings
from streamlstm.config.values import (
    Count,
    DataPath,
    DelayText,
    FilePath,
    Interval,
    Rate,
    Share,
    SwitchedPath,
    delay,
)
from streamlstm.errors import UsageError
from streamlstm.model.channels import ChannelDeclaration, Direction, Limits
from streamlstm.recordings.time_unit import TimeUnit
from streamlstm.training.options import WINDOW_OPTIONS

__all__ = [
    "Arrangement",
    "LoadedTraining",
    "Mlflow",
    "ModelShape",
    "Per",
    "TrainConfig",
    "Tune",
    "load_training",
    "train_schema",
]

Arrangement: TypeAlias = Literal["causal", "encoder_decoder", "bidirectional"]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


def _per(value: object) -> str | dict[str, str]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, dict) and value and all(isinstance(v, str) and v for v in value.values()):
        return {str(name): str(pattern) for name, pattern in value.items()}
    raise ValueError("expected all, stream, a pattern such as ward*, or names with a pattern each")


Per: TypeAlias = Annotated[
    str | dict[str, str],
    PlainValidator(_per),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "examples": ["all", "stream", "ward*"]},
                {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]


class ModelShape(NetworkShape):
    """The network, and how it runs."""

    arrangement: Arrangement = "causal"
    """encoder_decoder and bidirectional score whole windows, offline."""
    window: Count | None = None
    """Rows of their windows."""


class Mlflow(Section):
    """Where runs are tracked with MLflow."""

    uri: str | None = None
    """A server or a folder; by default MLflow's own setting (MLFLOW_TRACKING_URI)."""
    experiment: Name = "streamlstm"


Choices: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]
Range: TypeAlias = tuple[Rate, Rate]
Shares: TypeAlias = tuple[Share, Share]


class Tune(Section):
    """A search for options, judged by the validation loss. Options that `model` and `training` set are not searched."""

    trials: Count = 20
    hidden: Choices = (16, 32, 64)
    layers: Choices = (1, 2)
    cell: Annotated[tuple[str, ...], Field(min_length=1)] = ("lstm", "gru")
    batch: Choices = (8, 16, 32)
    learning_rate: Range = (3e-3, 3e-2)
    """From the lowest to the highest, like all ranges; searched on a logarithmic scale."""
    dropout: Shares = (0.0, 0.3)
    """Between layers; searched where there are several."""


class LimitSettings(Section):
    """The range that a channel is to stay in, in its unit; alerts of kind limit say when it does not."""

    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    hysteresis: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    """How far back inside a value must be before the alert is resolved."""
    delay: DelayText = delay("1 samples")
    """How long it is outside before one opens."""

    @model_validator(mode="after")
    def _is_a_range(self) -> LimitSettings:
        try:
            self.limits()
        except UsageError as error:
            raise ValueError(str(error).removeprefix("limits: ")) from error
        return self

    def limits(self) -> Limits:
        """Return them. Raises: UsageError when they are no range."""
        if self.delay.periods:
            raise UsageError("limits: expected a delay in samples or time, got periods")
        return Limits(self.low, self.high, self.hysteresis, self.delay.samples, self.delay.ms)


class ChannelSection(Section):
    """What is declared of one channel."""

    input_only: bool = False
    """The network sees the channel, and it is not scored: a command or a set point."""
    direction: Direction = "both"
    """Which deviations count: those above what was expected (up), below it (down), or both."""
    least_deviation: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    """The smallest deviation that counts, in the channel's unit."""
    limits: LimitSettings | None = None

    def declaration(self) -> ChannelDeclaration:
        """Return it."""
        limits = None if self.limits is None else self.limits.limits()
        return ChannelDeclaration(self.input_only, self.direction, self.least_deviation, limits)


class TrainConfig(Section):
    """Everything that `streamlstm train` can be told."""

    data: tuple[DataPath, ...] = Field(min_length=1)
    """Files, folders and patterns."""
    out: FilePath | None = None
    """The bundle (model.safetensors by default); with several models, their folder (models by default)."""
    name: Name | None = None
    version: Count = 1
    period_ms: Interval | None = Field(default=None, alias="period")
    """The time between samples; taken from the data by default, and 0s means unknown."""
    channels: tuple[Name, ...] = ()
    """Which channels, and in which order; all of the first stream by default."""
    declare: dict[Name, ChannelSection] = Field(default_factory=dict)
    """What is declared of channels, by name; with `from` what that bundle says, unless anything is declared here."""
    ts_unit: TimeUnit = "s"
    """The unit of numeric time stamps."""
    rows: Count | None = None
    """Train on only this many first rows of each stream."""
    per: Per = "all"
    """One model for all streams, one for each stream, one for each distinct beginning of a stream id that matches a
    pattern such as ward*, or one for each of the named patterns."""
    model: ModelShape = ModelShape()
    training: TrainerSettings = TrainerSettings()
    start: FilePath | None = Field(default=None, alias="from")
    """A bundle to fine-tune: training starts from its architecture, standardizer and weights."""
    freeze: tuple[Name, ...] = ()
    """Parts of that bundle that stay as they are: layers.0, head."""
    power: bool = True
    """Measure what the model finds of injected faults; causal models only."""
    report: SwitchedPath = True
    """Write the page BUNDLE.html, or the one named here."""
    log: SwitchedPath = True
    """Write JSON lines to BUNDLE.log.jsonl, or to the file named here."""
    tensorboard: FilePath | None = None
    """A folder for TensorBoard's event files."""
    mlflow: Mlflow | None = None
    tune: Tune | None = None

    @property
    def declared(self) -> dict[str, ChannelDeclaration] | None:
        """What is declared of channels; None where nothing is."""
        return {name: section.declaration() for name, section in self.declare.items()} or None

    @property
    def is_one(self) -> bool:
        """Whether one model is made of everything."""
        return self.per == "all"


class LoadedTraining(NamedTuple):
    """A configuration, and where each of its keys was written, as messages begin (the key alone, if it was not)."""

    config: TrainConfig
    where: Callable[[KeyPath], str]


def load_training(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    options: Mapping[str, tuple[KeyPath, Plain]],
) -> LoadedTraining:
    """Read and validate the configuration of a training.

    `overrides` are `a.b=value`, as given to `--set`; `options` of the command line come last: key path and value each.
    Relative paths count from the file's folder.
    Raises: ConfigError that lists every problem, one a line.
    """
    document = read_document(path) if path else Document("command line")
    for assignment in overrides:
        document.set(assignment)
    for option, (key, value) in options.items():
        document.assign(key, value, option)
    config = validate(TrainConfig, document, path.parent if path else Path(), _conflicts)
    return LoadedTraining(config, lambda key: document.where(key) if key in document.origins else key_path(key))


def train_schema() -> dict[str, Any]:
    """Return the JSON Schema of a training configuration."""
    return schema_of(TrainConfig, "streamlstm training configuration")


def _conflicts(config: TrainConfig) -> Iterator[tuple[KeyPath, str]]:
    yield from _repeated("data", config.data)
    yield from _repeated("channels", config.channels)
    if config.model.arrangement != "causal":
        yield from _not_of_windows(config)
    elif config.model.window is not None:
        yield (
            ("model", "window"),
            "expected an arrangement that has windows (encoder_decoder, bidirectional), got causal",
        )
    if config.freeze and config.start is None:
        yield ("freeze",), "expected `from`, the bundle whose layers are frozen, got none"
    if config.tune is not None:
        for name in ("learning_rate", "dropout"):
            lowest, highest = getattr(config.tune, name)
            if lowest > highest:
                yield ("tune", name), f"expected the lowest first, got {lowest:g} and {highest:g}"
        if config.start is not None:
            yield ("tune",), "expected no `from`: its architecture is given, and fine-tuning has little left to search"
    if not config.is_one:
        for key in ("report", "log"):
            if isinstance(getattr(config, key), Path):
                yield (key,), "expected true or false with several models, each of which has its own, got a path"


def _not_of_windows(config: TrainConfig) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is set, and has no meaning for a whole-window model."""
    expected = f"expected no such key with arrangement {config.model.arrangement}"
    shape = sorted(config.model.model_fields_set - {"arrangement", "cell", "hidden", "layers", "window"})
    training = sorted(config.training.model_fields_set - set(WINDOW_OPTIONS))
    keys: list[KeyPath] = [*(("model", name) for name in shape), *(("training", name) for name in training)]
    if config.start is not None:
        keys.append(("from",))
    if config.tune is not None and "dropout" in config.tune.model_fields_set:
        keys.append(("tune", "dropout"))
    for key in keys:
        yield key, expected


def _repeated(key: str, names: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
    seen = set[str]()
    for index, name in enumerate(names):
        if name in seen:
            yield (key, index), f"expected each once, got {name!r} again"
        seen.add(name)
