"""Makes onnx_gru_reset_before.npz: the GRU operator with linear_before_reset = 0, run by ONNX Runtime.

Run only to renew it; neither the project nor its tests need onnx or onnxruntime.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(9)
inputs, H, B, T = 5, 11, 3, 9
shapes = {"W": (1, 3 * H, inputs), "R": (1, 3 * H, H), "Bias": (1, 6 * H)}
weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
feed = {
    name: rng.normal(size=shape).astype(np.float32) for name, shape in {"x": (T, B, inputs), "h0": (1, B, H)}.items()
}
node = helper.make_node("GRU", ["x", "W", "R", "Bias", "", "h0"], ["y", "hn"], hidden_size=H, linear_before_reset=0)
fed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in feed.items()]
shapes = {"y": (T, 1, B, H), "hn": (1, B, H)}
outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
initial = [numpy_helper.from_array(array, name) for name, array in weights.items()]
graph = helper.make_graph([node], "gru", fed, outputs, initial)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
y, hn = session.run(None, feed)
np.savez(Path(__file__).with_name("onnx_gru_reset_before.npz"), **weights, **feed, y=y, hn=hn)
