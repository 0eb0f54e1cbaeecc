"""Configuration: a YAML file in, a frozen and checked `Config` (or `TrainConfig`) out."""

from streamlstm.config.loader import json_schema, load_config, parse_config
from streamlstm.config.schema import Config
from streamlstm.config.training import LoadedTraining, TrainConfig, load_training, train_schema

__all__ = [
    "Config",
    "LoadedTraining",
    "TrainConfig",
    "json_schema",
    "load_config",
    "load_training",
    "parse_config",
    "train_schema",
]
