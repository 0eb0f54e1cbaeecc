"""The configuration that a verb is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlstm.config import Config, load_config
from streamlstm.config.retraining import Retrain
from streamlstm.errors import UsageError

__all__ = ["configured", "retrain_section"]


def configured(argument: Path | None, option: Path | None, overrides: Sequence[str] | None) -> Config:
    """Load the configuration given as argument or option. Raises: UsageError, ConfigError."""
    path = argument or option
    if path is None:
        raise UsageError("expected a configuration file, got none; e.g. streamlstm run deploy/streamlstm.yaml")
    return load_config(path, overrides or ())


def retrain_section(config: Config) -> Retrain:
    """Return the section `retrain`. Raises: UsageError when there is none."""
    if config.retrain is None:
        raise UsageError(
            "expected a section retrain in the configuration, got none; the least is "
            "retrain: {registry: ./models, name: vitals}"
        )
    return config.retrain
