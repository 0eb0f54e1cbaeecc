"""A recurrent stack and its head, packed once for the step; step/fused.h says how."""

import math

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.cells import CellKind, check_stack, state_size
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.cell_kinds cimport number_of
from streamlstm.kernels.fused cimport fused_layer, fused_product
from streamlstm.kernels.isa cimport find_isa
from streamlstm.kernels.levels cimport kernel_level
from streamlstm.kernels.isa import isa as chosen_isa

# sigmoid(z) = 1 / (1 + 2^(-z log2 e)) and tanh(z) = (1 - e) / (1 + e) with e = 2^(-2 z log2 e): packed weights hold the
# factor, so that a gate's sum is the exponent.
_SIGMOID = -math.log2(math.e)
_TANH = -2 * math.log2(math.e)
_FACTORS = {4: (_SIGMOID, _SIGMOID, _TANH, _SIGMOID), 3: (_SIGMOID, _SIGMOID, _TANH), 1: (_TANH,)}


cdef class NetworkWeights:
    """Packed copies of a stack's weights and of the linear head on top; nothing changes them afterwards.

    Shapes: head is (weight float32 [D, R], bias [D]) or None, when the output is the top layer's h.
    Attributes: input_size I; output_size D or R; state_size; num_layers; isa and backend, what it is packed for:
    "fused" keeps products in registers, "blas" is the reference, and "bfloat16" multiplies rounded values: faster, and
    about 1e-3 off.
    Raises: ShapeError when they do not fit each other or are not finite; UsageError for an unknown backend or isa.
    """

    def __init__(self, layers, head=None, *, backend="fused", isa=None):
        cdef const kernel_level* level
        layers = list(layers)
        check_stack(layers)
        if backend not in ("fused", "blas", "bfloat16"):
            raise UsageError(f"backend: expected 'fused', 'blas' or 'bfloat16', got {backend!r}")
        self.isa = chosen_isa() if isa is None else isa
        self.backend = backend
        level = find_isa(self.isa)
        self.path = level.registers
        if backend == "blas":
            self.path = level.blas
        elif backend == "bfloat16":
            self.path = level.bfloat16
            if self.path == NULL:
                raise UsageError(f"backend: 'bfloat16' needs a processor with AVX512_BF16, and this runs {self.isa}")
        self._arrays = []
        self.num_layers = len(layers)
        self.input_size = layers[0].input_size
        self.output_size = layers[len(layers) - 1].output_size
        self.state_size = state_size(layers)
        self.segments = []
        self.network.layers, self.network.work = len(layers), 0.0
        cdef Py_ssize_t offset = 0
        for index, layer in enumerate(layers):
            self._pack_layer(&self.network.layer[index], layer)
            for size in (layer.output_size, layer.hidden_size)[: 2 if layer.kind.has_cell else 1]:
                self.segments.append((offset, size))
                offset += self._padded(size)
            self.network.work += 2.0 * (layer.w_ih.size + layer.w_hh.size)
        self.network.row = (offset + 15) // 16 * 16  # states begin on a line of the cache
        self.network.head.outputs = 0
        if head is not None:
            weight, bias = head
            check_array("head bias", bias, np.float32, (None,))
            check_array("head weight", weight, np.float32, (len(bias), self.output_size))
            if len(bias) < 1:
                raise ShapeError("head: expected at least one output, got none")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ShapeError("head: expected finite weights")
            self._pack_product(&self.network.head, weight, bias, True)
            self.output_size = len(bias)
            self.network.work += 2.0 * weight.size

    cdef Py_ssize_t _padded(self, Py_ssize_t size):
        return (size + self.path.width - 1) // self.path.width * self.path.width

    cdef const float* _keep(self, array) except NULL:
        """Copy to memory that begins on a line of the cache, and keep it."""
        cdef float[::1] view
        flat = np.ascontiguousarray(array, np.float32).reshape(-1)
        memory = np.empty(len(flat) + 16, np.float32)
        begin = -memory.ctypes.data % 64 // 4
        memory[begin : begin + len(flat)] = flat
        self._arrays.append(memory)
        view = memory
        return &view[0] + <Py_ssize_t>begin

    cdef _pack_layer(self, fused_layer* packed, layer):
        gates = layer.kind.gates
        factors = np.array(_FACTORS[gates])[:, None, None]

        def by_gate(array):
            return array.astype(np.float64).reshape(gates, layer.hidden_size, -1) * factors

        bias = by_gate(layer.bias)
        w_hh = by_gate(layer.w_hh)
        recurrent = self._blocks(w_hh).reshape(-1)
        if layer.kind is CellKind.GRU:
            bias = np.concatenate([bias, _TANH * layer.bias_hn.astype(np.float64).reshape(1, -1, 1)])
        if layer.kind is CellKind.GRU_RESET_BEFORE:
            recurrent = np.concatenate([self._blocks(w_hh[:2]).reshape(-1), self._blocks(w_hh[2:]).reshape(-1)])
        packed.cell = number_of(layer.kind)
        packed.inputs, packed.hidden, packed.outputs = layer.input_size, layer.hidden_size, layer.output_size
        packed.w_x = self._keep(self._blocks(by_gate(layer.w_ih)))
        packed.w_h = self._keep(recurrent)
        packed.bias = self._keep(self._by_block(bias))
        packed.peephole = NULL
        if layer.peephole is not None:
            packed.peephole = self._keep(self._by_block(_SIGMOID * layer.peephole.astype(np.float64)[:, :, None]))
        packed.projection.outputs = 0
        if layer.w_hr is not None:
            nothing = np.zeros(layer.output_size, np.float32)
            self._pack_product(&packed.projection, layer.w_hr, nothing, False)

    cdef _pack_product(self, fused_product* packed, weight, bias, may_dot):
        width = self.path.width
        outputs, inputs = weight.shape
        vectors = self._padded(outputs) // width
        # A row of few outputs is cheaper as dot products: a vector along the inputs and its sum, against one broadcast
        # an input. Its outputs beyond the last are not written, so nothing may read them.
        dots = outputs * (self._padded(inputs) // width + 7)
        is_dot = may_dot and self.backend == "fused" and dots < inputs * vectors
        packed.inputs, packed.outputs, packed.is_dot = inputs, outputs, is_dot
        packed.bias = self._keep(np.pad(bias, (0, vectors * width - outputs)))
        if is_dot:
            packed.w = self._keep(np.pad(weight, ((0, 0), (0, self._padded(inputs) - inputs))))
            return
        padded = np.pad(weight, ((0, vectors * width - outputs), (0, 0)))
        full = vectors // 4 * 4 * width
        parts = []
        if full:  # unit blocks of four vectors each
            parts.append(self._order(padded[:full].reshape(-1, 4, width, inputs).transpose(0, 3, 1, 2)))
        if full < len(padded):
            parts.append(self._order(padded[full:].reshape(1, -1, width, inputs).transpose(0, 3, 1, 2)))
        packed.w = self._keep(np.concatenate([part.reshape(-1) for part in parts]))

    def _by_block(self, by_gate):
        """[G, H, K] -> [blocks, K, G, W], units beyond the last zero."""
        gates, hidden, inputs = by_gate.shape
        padded = np.pad(by_gate, ((0, 0), (0, self._padded(hidden) - hidden), (0, 0)))
        return padded.reshape(gates, -1, self.path.width, inputs).transpose(1, 3, 0, 2)

    def _blocks(self, by_gate):
        """[G, H, K] -> the order in which a layer's product reads its weights."""
        blocks = self._by_block(by_gate)
        return _in_pairs(blocks) if self.backend == "bfloat16" else self._order(blocks)

    def _order(self, blocks):
        """[blocks, K, G, W] for registers; [K, blocks, G, W] for BLAS, where a row is all outputs of an input."""
        return blocks.transpose(1, 0, 2, 3) if self.backend == "blas" else blocks


def _in_pairs(blocks):
    """[blocks, K, G, W] -> [blocks, pairs of K, G, W], bfloat16 rounded to nearest even, the earlier one low."""
    padded = np.pad(blocks, ((0, 0), (0, blocks.shape[1] % 2), (0, 0), (0, 0))).astype(np.float32)
    bits = padded.view(np.uint32)
    halves = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return (halves[:, 0::2] | halves[:, 1::2] << 16).view(np.float32)
