"""The configuration of `train`: its keys are the trainer's options, and a mistake has its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from streamlstm.config import TrainConfig, load_training
from streamlstm.config.source import KeyPath, Plain
from streamlstm.config.trainer import NetworkShape, TrainerSettings
from streamlstm.errors import ConfigError
from streamlstm.training.options import TrainerOptions


def load(folder: Path, text: str, *overrides: str, **options: tuple[KeyPath, Plain]) -> TrainConfig:
    (folder / "t.yaml").write_text(text)
    return load_training(folder / "t.yaml", overrides=overrides, options=options).config


def test_every_option_of_the_trainer_has_its_key() -> None:
    of_the_trainer = {field.name for field in fields(TrainerOptions)} - {"cells"}
    of_the_shape = set(NetworkShape.model_fields) - {"cell", "layers"}
    assert set(TrainerSettings.model_fields) | of_the_shape == of_the_trainer
    assert not set(TrainerSettings.model_fields) & of_the_shape


def test_what_the_keys_allow_the_trainer_allows() -> None:
    """The schema's bounds are the trainer's own."""
    for name, good, bad in (
        ("burn_in", 0, -1),
        ("bptt_steps", 1, 0),
        ("momentum", 0.0, 1.0),
        ("weight_decay", 0.0, -0.1),
        ("clip_norm", 0.1, 0.0),
        ("jitter", 0.0, -1.0),
    ):
        TrainerOptions(**{name: good})
        assert getattr(TrainerSettings(**{name: good}), name) == good
        with pytest.raises(Exception, match=name):
            TrainerOptions(**{name: bad})
        with pytest.raises(Exception, match=name):
            TrainerSettings(**{name: bad})


def test_paths_cells_and_switches(tmp_path: Path) -> None:
    text = 'data: [a.csv, "-", "b/*.npz", /c]\nlog: l.jsonl\nreport: false\nmodel: {cell: [gru, rnn]}\nperiod: 2.5ms\n'
    config = load(tmp_path, text)
    assert config.data == (str(tmp_path / "a.csv"), "-", str(tmp_path / "b/*.npz"), "/c")
    assert (config.log, config.report, config.model.cell, config.period_ms) == (
        tmp_path / "l.jsonl",
        False,
        "gru,rnn",
        2.5,
    )
    assert load(tmp_path, "data: [a]\nper: {x: 'a*'}\n").per == {"x": "a*"}


def test_options_make_sections_and_come_last(tmp_path: Path) -> None:
    options: dict[str, tuple[KeyPath, Plain]] = {
        "--uri": (("mlflow", "uri"), "u"),
        "--hidden": (("model", "hidden"), 3),
    }
    config = load(tmp_path, "data: [a]\nmodel: {hidden: 5, layers: 2}\n", "model.hidden=4", **options)
    assert config.mlflow is not None and (config.mlflow.uri, config.mlflow.experiment) == ("u", "streamlstm")
    assert (config.model.hidden, config.model.layers) == (3, 2)
    with pytest.raises(ConfigError, match=r"t.yaml:2: model: expected keys, got a single value"):
        load(tmp_path, "data: [a]\nmodel: big\n", **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out: m\n", "t.yaml:1: data: is missing"),
        ("data: []\n", "t.yaml:1: data: expected at least one, got an empty list"),
        ("data: [a, a]\n", "t.yaml:1: data[1]: expected each once"),
        (
            "data: [a]\ndeclare: {hr: {directio: up}}\n",
            "t.yaml:2: declare.hr.directio: unknown key; did you mean 'direction'?",
        ),
        (
            "data: [a]\ndeclare: {hr: {limits: {lo: 3}}}\n",
            "t.yaml:2: declare.hr.limits.lo: unknown key; did you mean 'low'?",
        ),
        (
            "data: [a]\ndeclare: {hr: {limits: {low: 9, high: 3}}}\n",
            "t.yaml:2: declare.hr.limits: expected low and high",
        ),
        (
            "data: [a]\ndeclare: {hr: {limits: {delay: 1s}}}\n",
            "t.yaml:2: declare.hr.limits: expected low, high or both",
        ),
        ("data: [a]\nmodel: {hiden: 3}\n", "t.yaml:2: model.hiden: unknown key; did you mean 'hidden'?"),
        ("data: [a]\nmodel: {cell: 3}\n", "t.yaml:2: model.cell: expected the name of a cell, or a list"),
        ("data: [a]\nper: 3\n", "t.yaml:2: per: expected all, stream, a pattern"),
        ("data: [a]\nreport: 3\n", "t.yaml:2: report: expected true, false or a path, got 3"),
        ("data: [a]\nperiod: 3\n", "t.yaml:2: period: expected a number with a unit"),
        ("data: [a]\ntune: {trial: 3}\n", "t.yaml:2: tune.trial: unknown key; did you mean 'trials'?"),
        ("data: [a]\nfrom: b\ntune: {}\n", "t.yaml:3: tune: expected no `from`"),
        ("data: [a]\nmodel: {arrangement: bidirectional, forecast: 3}\n", "t.yaml:2: model.forecast: expected no such"),
        ("data: [a]\nper: stream\nlog: x.jsonl\n", "t.yaml:3: log: expected true or false with several models"),
    ],
)
def test_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(expected)


def test_the_example_of_the_docs_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/training.md").read_text("utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    config = load(tmp_path, example)
    assert config.tune is not None and config.tune.trials == 30 and config.training.trim == 0.05
    for name in TrainerSettings.model_fields:
        assert f"`{name}`" in page, "the page lists every key"
