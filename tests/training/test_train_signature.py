"""`train` as it is typed: its keywords are the options, its help says their meaning, its errors name the nearest."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import fields

import numpy as np
import pytest

from streamlstm import train
from streamlstm.config import load_training
from streamlstm.config.trainer import TrainerSettings
from streamlstm.errors import ConfigError, UsageError
from streamlstm.training import options
from streamlstm.training.causal.plan import make_plan
from streamlstm.training.options import TrainerOptions, stored_options
from streamlstm.training.windows.plan import make_window_plan

VALUES = np.sin(np.arange(300) / 5)[:, None]


def meanings() -> dict[str, str]:
    """Return each option's docstring, as it stands under its field."""
    tree = ast.parse(inspect.getsource(options))
    [of_class] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainerOptions"]
    found = {}
    for node, after in zip(of_class.body, of_class.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant), (
                f"{node.target.id}: no meaning"
            )
            found[node.target.id] = " ".join(str(after.value.value).split())
    return found


def help_lines() -> str:
    """Return what `help(train)` says of the options."""
    paragraphs = [
        textwrap.fill(f"{name}: {meaning}", 116, initial_indent="    ", subsequent_indent="        ")
        for name, meaning in meanings().items()
    ]
    return "\n".join(paragraphs)


def test_the_keywords_are_the_options_and_have_their_types() -> None:
    parameters = inspect.signature(train).parameters
    for field in fields(TrainerOptions):
        annotation = "Sequence[str]" if field.name == "cells" else field.type
        assert parameters[field.name].annotation == f"{annotation} | None", field.name
        assert parameters[field.name].default is None
    assert set(TrainerSettings.model_fields) <= set(parameters)


def test_help_says_what_each_option_means() -> None:
    expected = help_lines()
    documented = inspect.getdoc(train) or ""
    assert expected in documented, f"the docstring of train lists the options so:\n{textwrap.indent(expected, '    ')}"


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("hiden", "hiden: not an option of train; did you mean 'hidden'?"),
        ("learning_rat", "did you mean 'learning_rate'?"),
        ("period", "did you mean 'period_s'?"),
        ("zzzz", "zzzz: not an option of train; expected one of batch, bptt_steps, burn_in, cell,"),
        ("segment", "^segment is called bptt_steps now$"),
        ("stretch", "^stretch is called reset_every now$"),
    ],
)
def test_a_mistyped_keyword_names_the_nearest(keyword: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        train(VALUES, **{keyword: 3})  # type: ignore[arg-type]


def test_plans_name_the_nearest_too() -> None:
    with pytest.raises(UsageError, match="hiden: not an option of the trainer; did you mean 'hidden'"):
        make_plan(VALUES, hiden=3)
    with pytest.raises(UsageError, match="segment is called bptt_steps now"):
        make_plan(VALUES, segment=3)
    with pytest.raises(UsageError, match="dropout: not an option of whole-window models; expected one of batch,"):
        make_window_plan(VALUES, arrangement="bidirectional", dropout=0.1)


@pytest.mark.parametrize(("old", "new"), [("segment", "bptt_steps"), ("stretch", "reset_every")])
def test_keys_of_the_configuration_that_were_renamed(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=f"training.{old}: {old} is called {new} now"):
        load_training(None, overrides=[f"training.{old}=32"], options={"DATA": (("data",), ["a.csv"])})


def test_options_that_a_bundle_of_before_keeps_are_read() -> None:
    bundle = train(VALUES, max_updates=2, hidden=3, bptt_steps=20, reset_every=60)
    kept = bundle.training["options"]
    assert stored_options(kept) == stored_options(kept | {"cells": ["lstm"]})
    before = {
        {"bptt_steps": "segment", "reset_every": "stretch"}.get(name, name): value for name, value in kept.items()
    }
    assert stored_options(before) == stored_options(kept)
    assert (stored_options(before).bptt_steps, stored_options(before).reset_every) == (20, 60)
    again = train(VALUES, **kept)
    assert again.digest == bundle.digest
