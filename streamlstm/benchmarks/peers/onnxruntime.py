"""ONNX Runtime, with inputs, outputs and both states bound to fixed buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.peers.onnx_graph import PingPong, build_graph
from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["contestants", "prepare"]

_FATAL = 4


def prepare() -> None:
    """Import it; threads are an option of each session."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL)


def contestants(network: RecurrentNetwork, work: Workload) -> Sequence[PingPong]:
    """Return the graph in a session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(build_graph(network, work), options, providers=["CPUExecutionProvider"])
    run: Any = session.run_with_iobinding

    def bind(taken: dict[str, NDArray[np.float32]], given: dict[str, NDArray[np.float32]]) -> Callable[[], object]:
        binding = session.io_binding()
        for name, array in taken.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in given.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return lambda: run(binding)

    return [PingPong(work, bind)]
