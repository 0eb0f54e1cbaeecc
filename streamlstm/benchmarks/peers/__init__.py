"""The peers, a file each: they are imported here and nowhere else, and only when they are asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Protocol, cast

from streamlstm.benchmarks.contestants import Contestant
from streamlstm.benchmarks.workloads import LstmNetwork, Workload

__all__ = ["PEERS", "Peer", "load_peer", "missing_packages"]

PEERS = {
    "numpy": ("numpy",),
    "pytorch": ("torch",),
    "jax": ("jax",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
}
"""Names, and the packages each needs."""


class Peer(Protocol):
    """What a peer's file offers."""

    def prepare(self) -> None:
        """Import the library and hold it to one thread."""

    def contestants(self, network: LstmNetwork, work: Workload) -> Sequence[Contestant]:
        """Return the ways this library can do the work; the fastest is taken."""


def missing_packages(name: str) -> list[str]:
    """Return the packages of a peer that are not installed."""
    return [package for package in PEERS[name] if importlib.util.find_spec(package) is None]


def load_peer(name: str) -> Peer:
    """Import a peer's file, then its library. Raises: ImportError when that does not work on this machine."""
    peer = cast(Peer, importlib.import_module(f"streamlstm.benchmarks.peers.{name}"))
    peer.prepare()
    return peer
