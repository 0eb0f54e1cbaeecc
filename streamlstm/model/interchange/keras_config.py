"""config.json of a `.keras` file: which layers stand on each other, and that each is what a bundle can compute."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from streamlstm.errors import BundleError

__all__ = ["read_config"]

_RECURRENT = ("LSTM", "GRU", "SimpleRNN")
_WITHOUT_EFFECT = ("InputLayer", "Dropout", "SpatialDropout1D")
_ACTIVATIONS = {
    "LSTM": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "GRU": {"activation": "tanh", "recurrent_activation": "sigmoid"},
    "SimpleRNN": {"activation": "tanh"},
    "Dense": {"activation": "linear"},
}
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def read_config(path: str, content: bytes) -> tuple[tuple[str, ...], dict[str, bool]]:
    """Return the groups of the layers that have weights, the lowest first, and of each GRU when it resets.

    The weights lie in a group called after the layer's class and its number among those of its class.
    Raises: BundleError for a layer that a bundle cannot compute, or layers that are not one chain.
    """
    try:
        model = msgspec.json.decode(content, type=dict[str, Any])
        layers = [(one["class_name"], one["config"], one.get("inbound_nodes")) for one in model["config"]["layers"]]
        class_name = model["class_name"]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{path}: config.json: expected a Sequential or Functional model of Keras 3 ({error})"
        ) from error
    if class_name not in ("Sequential", "Functional"):
        raise BundleError(f"{path}: config.json: expected a Sequential or Functional model, got {class_name!r}")
    order, reset_after, counts = [], {}, Counter[str]()
    is_top = False
    below = None
    for kind, config, inbound in layers:
        name = config.get("name")
        where = f"{path}: layer {name!r}"
        if below is not None and class_name == "Functional" and list(_sources(inbound)) != [below]:
            raise BundleError(f"{where}: expected one chain of layers, got one that does not stand on {below!r} alone")
        below = name
        if kind in _WITHOUT_EFFECT:
            continue
        is_wrapped = kind == "TimeDistributed"  # of Dense it is what Dense is: applied to every sample
        if is_wrapped:
            kind, config = config["layer"]["class_name"], config["layer"]["config"]
        if kind not in _ACTIVATIONS or (is_wrapped and kind != "Dense"):
            known = ", ".join((*_RECURRENT, "Dense"))
            raise BundleError(f"{where}: expected {known} or dropout, got {kind}, which a bundle cannot compute")
        _check_layer(where, kind, config, is_top=is_top)
        is_top |= kind == "Dense"
        group = "time_distributed" if is_wrapped else _BORDER.sub("_", kind).lower()
        number = counts[group]
        counts[group] += 1
        group += f"_{number}" if number else ""
        order.append(group)
        if kind == "GRU":
            reset_after[group] = bool(config.get("reset_after", True))
    return tuple(order), reset_after


def _check_layer(where: str, kind: str, config: dict[str, Any], *, is_top: bool) -> None:
    for name, wanted in _ACTIVATIONS[kind].items():
        if config.get(name, wanted) != wanted:
            raise BundleError(
                f"{where}: {name}: expected {wanted!r}, got {config[name]!r}, which a bundle cannot compute"
            )
    if kind in _RECURRENT and is_top:
        raise BundleError(f"{where}: expected recurrent layers, then Dense, got {kind} above a Dense layer")
    if config.get("go_backwards"):
        raise BundleError(f"{where}: expected a causal layer, got go_backwards, which needs later samples")


def _sources(inbound: Any) -> Iterator[str]:
    """Yield the layers whose outputs a layer takes."""
    if isinstance(inbound, dict):
        if "keras_history" in inbound:
            yield inbound["keras_history"][0]
            return
        inbound = list(inbound.values())
    if isinstance(inbound, list):
        for one in inbound:
            yield from _sources(one)
