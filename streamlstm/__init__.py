"""Streaming anomaly detection: an LSTM whose state is carried per stream.

>>> from streamlstm import Detector, train
>>> bundle = train(values, period_s=1.0, channels=["hr", "spo2"])  # doctest: +SKIP
>>> detector = Detector(bundle)  # doctest: +SKIP
>>> detector.score_one("ward3/bed7", event_time_ms, {"hr": 71.2, "spo2": 97.0})  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from streamlstm._version import __version__

__all__ = ["Detector", "ModelBundle", "__version__", "train"]

if TYPE_CHECKING:
    from streamlstm.model.bundles.causal import ModelBundle as ModelBundle
    from streamlstm.scoring.detector import Detector as Detector
    from streamlstm.training.fit import train as train

_HOMES = {
    "Detector": "streamlstm.scoring.detector",
    "ModelBundle": "streamlstm.model.bundles.causal",
    "train": "streamlstm.training.fit",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: `streamlstm --help` needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streamlstm' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
