"""Weights of other frameworks in, and out again: PyTorch, Keras and ONNX, none of which needs to be installed."""

from streamlstm.model.interchange.foreign import ForeignNetwork
from streamlstm.model.interchange.onnx_graph import write_onnx
from streamlstm.model.interchange.pytorch import write_pytorch
from streamlstm.model.interchange.reading import read_layers

__all__ = ["ForeignNetwork", "read_layers", "write_onnx", "write_pytorch"]
