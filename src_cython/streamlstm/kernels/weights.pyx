"""Weights of a stack of LSTM layers, packed for the kernels.

Given in PyTorch's orientation, w_ih [4H, I] and w_hh [4H, H], gate order i, f, g, o; kept transposed, so that a row
of the product z [B, 4H] = x [B, I] w_ih^T + h [B, H] w_hh^T + bias is written in one sweep.
"""

import numpy as np

from streamlstm.errors import ShapeError
from streamlstm.kernels.faces import check_array


cdef class LstmWeights:
    """Copies of the weights of L layers; nothing changes them afterwards.

    Shapes: layers is a sequence of (w_ih [4H, I], w_hh [4H, H], bias [4H]), float32 in C order; I of a layer above
    the first is H.
    Raises: ShapeError when they do not fit each other or are not finite.
    """

    def __init__(self, layers):
        layers = list(layers)
        if not 1 <= len(layers) <= MAX_LAYERS:
            raise ShapeError(f"layers: expected 1 to {MAX_LAYERS}, got {len(layers)}")
        cdef const float[:, ::1] w_x, w_h
        cdef const float[::1] bias
        self._arrays = []
        self.num_layers = len(layers)
        self.hidden_size = layers[0][1].shape[1] if np.ndim(layers[0][1]) == 2 else -1
        self.input_size = layers[0][0].shape[1] if np.ndim(layers[0][0]) == 2 else -1
        for index, (w_ih, w_hh, b) in enumerate(layers):
            inputs = self.input_size if index == 0 else self.hidden_size
            check_array(f"layers[{index}].w_ih", w_ih, np.float32, (4 * self.hidden_size, inputs))
            check_array(f"layers[{index}].w_hh", w_hh, np.float32, (4 * self.hidden_size, self.hidden_size))
            check_array(f"layers[{index}].bias", b, np.float32, (4 * self.hidden_size,))
            if not (np.isfinite(w_ih).all() and np.isfinite(w_hh).all() and np.isfinite(b).all()):
                raise ShapeError(f"layers[{index}]: expected finite weights")
            packed = np.array(w_ih.T, order="C"), np.array(w_hh.T, order="C"), np.array(b)
            self._arrays.append(packed)
            w_x, w_h, bias = packed
            self.layers[index].inputs = inputs
            self.layers[index].w_x = &w_x[0, 0]
            self.layers[index].w_h = &w_h[0, 0]
            self.layers[index].bias = &bias[0]
