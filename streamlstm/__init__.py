"""Streaming anomaly detection: an LSTM whose state is carried per stream.

>>> from streamlstm import Detector, train
>>> bundle = train(values, period_s=1.0, channels=["hr", "spo2"])  # doctest: +SKIP
>>> detector = Detector(bundle)  # doctest: +SKIP
>>> detector.score_one("ward3/bed7", event_time_ms, {"hr": 71.2, "spo2": 97.0})  # doctest: +SKIP
"""

import sys
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
        raise _unknown(name)
    from importlib import import_module

    globals()[name] = found = getattr(import_module(_HOMES[name]), name)
    return found


def _unknown(name: str) -> AttributeError | ImportError:
    """Return the error that names the nearest public name.

    `from streamlstm import name` makes a message of its own of every AttributeError, so there it is an ImportError; a
    submodule that is not imported yet is left to the import.
    """
    from difflib import get_close_matches
    from importlib.util import find_spec

    near = get_close_matches(name, __all__, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(__all__)}"
    is_from_import = sys._getframe(2).f_code.co_name == "_handle_fromlist"
    if is_from_import and find_spec(f"streamlstm.{name}") is None:
        return ImportError(f"cannot import name {name!r} from 'streamlstm'; {hint}", name="streamlstm")
    return AttributeError(f"module 'streamlstm' has no attribute {name!r}; {hint}", name=name)


def __dir__() -> list[str]:
    """List the public names, also before they are imported: Tab reads it."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
