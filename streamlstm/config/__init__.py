"""Configuration: a YAML file in, a frozen and checked `Config` out."""

from streamlstm.config.loader import json_schema, load_config, parse_config
from streamlstm.config.schema import Config

__all__ = ["Config", "json_schema", "load_config", "parse_config"]
