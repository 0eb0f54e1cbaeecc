"""The peers, a file each: they are imported here and nowhere else, and only when they are asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Protocol, cast

from streamlstm.benchmarks.contestants import Contestant
from streamlstm.benchmarks.training_work import TrainingContestant, TrainingWork
from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = [
    "ALONE",
    "PEERS",
    "TRAINING_PEERS",
    "Peer",
    "TrainingPeer",
    "how_to_install",
    "load_peer",
    "load_training_peer",
    "missing_packages",
]

PEERS = {
    "numpy": ("numpy",),
    "pytorch": ("torch",),
    "jax": ("jax",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
}
"""Names, and the packages each needs."""

TRAINING_PEERS = {"pytorch": ("torch",), "jax": ("jax",), "keras": ("tensorflow",)}
"""Likewise, of those that train. TensorFlow is large and slow to follow Python: the extra `bench` leaves it out."""

ALONE = "keras"
"""Not in one process with PyTorch: each brings an LLVM of its own, and the second one ends the process."""


class Peer(Protocol):
    """What a peer's file offers."""

    def prepare(self) -> None:
        """Import the library and hold it to one thread."""

    def contestants(self, network: RecurrentNetwork, work: Workload) -> Sequence[Contestant]:
        """Return the ways this library can do the work; the fastest is taken."""


class TrainingPeer(Protocol):
    """What a peer's file for training offers."""

    def prepare(self) -> None:
        """Import the library and hold it to one thread."""

    def training(self, network: RecurrentNetwork, work: TrainingWork) -> Sequence[TrainingContestant]:
        """Return the ways this library can train, of which the fastest is taken; none for a cell it lacks."""


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Return those that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]


def how_to_install(packages: Sequence[str]) -> str:
    """Return what to type."""
    return "pip install tensorflow" if "tensorflow" in packages else "pip install 'streamlstm[bench]'"


def load_peer(name: str) -> Peer:
    """Import a peer's file, then its library. Raises: ImportError when that does not work on this machine."""
    peer = cast(Peer, importlib.import_module(f"streamlstm.benchmarks.peers.{name}"))
    peer.prepare()
    return peer


def load_training_peer(name: str) -> TrainingPeer:
    """Import a peer's file for training, then its library. Raises: ImportError, as `load_peer` does."""
    peer = cast(TrainingPeer, importlib.import_module(f"streamlstm.benchmarks.peers.{name}_training"))
    peer.prepare()
    return peer
