"""`demo`: the whole service on one machine: simulate or read telemetry, train, run the worker, report what was found."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer

from streamlstm.cli import app
from streamlstm.cli.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.progress import Progress
from streamlstm.cli.replay import publish_series
from streamlstm.cli.report import StreamReport, print_report
from streamlstm.cli.wiring import build_service, open_publisher, open_reader
from streamlstm.config import Config, parse_config
from streamlstm.errors import DataError, UsageError
from streamlstm.model.bundle import ModelBundle
from streamlstm.service.ports import TopicReader
from streamlstm.simulation import Telemetry, load_ecg_excerpt, simulate_pumps, simulate_ward
from streamlstm.streaming.encoders import AlertRecord
from streamlstm.training.datasets import Series, read_series
from streamlstm.training.fit import train

__all__ = ["demo"]

_log = logging.getLogger(__name__)
