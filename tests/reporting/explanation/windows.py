"""A window explained, made by hand: every number in it is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from streamlstm.evaluation.explanation import Explanation
from streamlstm.evaluation.gates import LayerGates
from streamlstm.kernels import CellKind
from streamlstm.scoring.alerts import Alert, ChannelPart, Peak
from streamlstm.types import Status

ROWS, UNITS = 60, 5
START_MS = 1_767_225_600_000


def an_alert(**changes: Any) -> Alert:
    alert = Alert(
        alert_id="a" * 24,
        revision=2,
        state="resolved",
        kind="residual",
        severity="low",
        stream_id="mill/3",
        started_at=START_MS + 20_000,
        detected_at=START_MS + 22_000,
        resolved_at=START_MS + 40_000,
        peak=Peak(2.5, START_MS + 30_000, 1e-6),
        samples=20,
        channels=(ChannelPart("flow", 0.75, 31.0, 12.0),),
        model="tiny@1",
        summary="mill/3: flow 31 l/min where 12 l/min was expected",
    )

    return msgspec.structs.replace(alert, **changes)


def a_window(**changes: Any) -> Explanation:
    """Row 30 of 60, one a second: flow 31 l/min where 12 was expected, three quarters of the surprise."""
    score = np.linspace(0.1, 0.2, ROWS)
    score[20:40] = 2.5
    score[:5] = np.nan
    values = np.tile(np.array([12.0, 3.0], np.float32), (ROWS, 1))
    values[20:40, 0] = 31.0
    said = np.tile(np.array([1.0, 2.0, 1.0]), (ROWS, 1))
    status = np.full(ROWS, Status.READY, np.uint8)
    status[:5] = Status.WARMING
    window = Explanation(
        model="tiny@1",
        stream_id="mill/3",
        channels=("flow", "pressure"),
        units=("l/min", ""),
        at=30,
        event_time_ms=START_MS + 1000 * np.arange(ROWS, dtype=np.int64),
        values=values,
        expected=np.tile(np.array([12.0, 3.0], np.float32), (ROWS, 1)),
        usual=np.array([0.5, 0.25], np.float32),
        score=score,
        settled=np.full(ROWS, np.nan),
        p_value=np.where(np.isnan(score), np.nan, np.exp(-8 * np.nan_to_num(score))),
        status=status,
        contribution=np.tile(np.array([0.75, 0.25], np.float32), (ROWS, 1)),
        said=said,
        parts=("forecast/1", "forecast/16", "prototypes/centred"),
        branches={"network_residuals": slice(0, 2), "prototypes": slice(2, 3)},
        alerts=(an_alert(),),
    )
    return replace(window, **changes)


def gates_of_a_layer() -> LayerGates:
    ramp = np.linspace(0, 1, ROWS * UNITS, dtype=np.float32).reshape(ROWS, UNITS)
    gates = {"input": ramp, "forget": 1 - ramp, "cell input": 2 * ramp - 1, "output": ramp}
    gates["input"] = ramp.copy()
    gates["input"][3] = np.nan
    return LayerGates(CellKind.LSTM, gates, 3 * ramp, 2 * ramp - 1)
