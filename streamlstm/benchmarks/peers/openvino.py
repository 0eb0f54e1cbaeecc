"""OpenVINO on the processor, in float32, with inputs, outputs and both states in shared buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamlstm.benchmarks.peers.onnx_graph import PingPong, build_graph
from streamlstm.benchmarks.workloads import RecurrentNetwork, Workload

__all__ = ["contestants", "prepare"]

# Without the hint for precision it computes in bfloat16 where the processor can: faster, and not the same task.
_OPTIONS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": "1",
    "NUM_STREAMS": "1",
    "PERFORMANCE_HINT": "LATENCY",
    "ENABLE_CPU_PINNING": "NO",
}


def prepare() -> None:
    """Import it; threads are an option of each compiled model."""
    import openvino  # noqa: F401


def contestants(network: RecurrentNetwork, work: Workload) -> Sequence[PingPong]:
    """Return the graph, compiled for one thread."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(build_graph(network, work)), "CPU", _OPTIONS)

    def bind(taken: dict[str, NDArray[np.float32]], given: dict[str, NDArray[np.float32]]) -> Callable[[], object]:
        request = compiled.create_infer_request()
        for name, array in (taken | given).items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return partial(request.infer, share_outputs=True)

    return [PingPong(work, bind)]
