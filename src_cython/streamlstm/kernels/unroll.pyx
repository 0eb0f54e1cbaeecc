"""T steps of a stack of layers of any cell for training: forward, keeping what backward needs; backward beside it.

The equations stand in cells.py and, with their products, in unroll_lstm.pxd and unroll_gru.pxd; what all cells share
in unroll_layer.pxd.
"""

from dataclasses import dataclass

import numpy as np

from streamlstm.errors import ShapeError
from streamlstm.kernels.cells import CellKind, check_stack, state_size
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.unroll_gru cimport (
    gru_backward,
    gru_forward,
    reset_before_backward,
    reset_before_forward,
    rnn_backward,
    rnn_forward,
)
from streamlstm.kernels.unroll_layer cimport CHUNK, LayerPass
from streamlstm.kernels.unroll_lstm cimport lstm_backward, lstm_forward

cdef enum Family:
    LSTM
    GRU
    GRU_RESET_BEFORE
    RNN

_FAMILIES = {CellKind.LSTM: LSTM, CellKind.PEEPHOLE: LSTM, CellKind.GRU: GRU,
             CellKind.GRU_RESET_BEFORE: GRU_RESET_BEFORE, CellKind.RNN: RNN}


@dataclass(frozen=True, slots=True)
class LayerMasks:
    """Dropout of one layer, values 0 or 1 / (1 - p); None drops nothing.

    inputs [T, B, I] multiplies the layer's input. recurrent [B, R], the same at every step, multiplies h_(t-1) where it
    goes into a product with w_hh: W (m h). What goes past the gates is not masked: neither f c_(t-1) nor, of the GRU
    kinds, z h_(t-1). In gru_reset_before the reset gate scales what is masked: U_n (r m h).
    Source: Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks (2016).
    """

    inputs: object = None
    recurrent: object = None


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """What `backward` needs of one layer; None is what its cell has not."""

    kind: object
    masks: object
    inputs: object       # [T, B, I], masked
    gates: object        # activated, [T, B, G*H]
    hidden: object       # h_(-1) .. h_(T-1), [T + 1, B, R]
    cell: object         # likewise, [T + 1, B, H]
    inner: object        # [T, B, H]: tanh(c); of gru what the reset gate scales, of gru_reset_before what it has scaled
    fed: object          # [T, B, R]: h_(-1) .. h_(T-2) times the recurrent mask, where there is one
    unprojected: object  # [T, B, H]: o tanh(c), where there is a projection


@dataclass(frozen=True, slots=True)
class Trace:
    """y [T, B, R] of the top layer; state [B, state_size] at the end, by layer h, then c; and, by layer, the rest."""

    y: object
    state: object
    layers: tuple


@dataclass(frozen=True, slots=True)
class CellGradients:
    """Gradients of the fields of CellWeights, shaped as they are; None where the cell has none."""

    w_ih: object
    w_hh: object
    bias: object
    bias_hn: object
    peephole: object
    w_hr: object


@dataclass(frozen=True, slots=True)
class Gradients:
    """layers: one CellGradients a layer; d_x [T, B, I]; d_state [B, state_size] by the initial state."""

    layers: tuple
    d_x: object
    d_state: object


cdef float* _pointer(array) except? NULL:
    """First value of a float32 array in C order, NULL for None. The caller keeps the array alive."""
    cdef const float[::1] values
    if array is None:
        return NULL
    values = array.reshape(-1)
    return <float*>&values[0]


cdef LayerPass _layer_pass(layer, trace, w_ih, w_hh, w_hr) except *:
    """Sizes and pointers of one layer; those of the gradients are left NULL."""
    cdef LayerPass p
    p.T, p.B, p.inputs = trace.inputs.shape
    p.H, p.R, p.N = layer.hidden_size, layer.output_size, len(layer.bias)
    p.w_ih, p.w_hh, p.bias = _pointer(w_ih), _pointer(w_hh), _pointer(layer.bias)
    p.bias_hn, p.peephole, p.w_hr = _pointer(layer.bias_hn), _pointer(layer.peephole), _pointer(w_hr)
    p.x, p.z, p.h = _pointer(trace.inputs), _pointer(trace.gates), _pointer(trace.hidden)
    p.c, p.inner, p.unprojected = _pointer(trace.cell), _pointer(trace.inner), _pointer(trace.unprojected)
    p.mask, p.fed = _pointer(trace.masks.recurrent), _pointer(trace.hidden if trace.fed is None else trace.fed)
    p.d_w_ih = p.d_w_hh = p.d_bias = p.d_bias_hn = p.d_peephole = p.d_w_hr = NULL
    p.d_x = p.d_y = p.d_h = p.d_c = p.d_fed = p.d_inner = NULL
    return p


def _trace_shapes(layer, masks, T, B):
    """Return the shape of every array of a LayerTrace, None for those that the cell has not."""
    H, R, kind = layer.hidden_size, layer.output_size, layer.kind
    return {
        "inputs": (T, B, layer.input_size),
        "gates": (T, B, len(layer.bias)),
        "hidden": (T + 1, B, R),
        "cell": (T + 1, B, H) if kind.has_cell else None,
        "inner": None if kind is CellKind.RNN else (T, B, H),
        "fed": None if masks.recurrent is None else (T, B, R),
        "unprojected": None if layer.w_hr is None else (T, B, H),
    }


def unroll(layers, x, *, state, masks=None):
    """Run T steps from a given state.

    Shapes: layers are L CellWeights; x float32 [T, B, I]; state float32 [B, state_size], by layer h, then c; masks are
    L LayerMasks, or None.
    Raises: ShapeError.
    """
    cdef LayerPass p
    cdef Family family
    check_stack(layers)
    check_array("x", x, np.float32, (None, None, layers[0].input_size))
    T, B = x.shape[:2]
    if T < 1 or B < 1:
        raise ShapeError(f"x: expected at least one step and one lane, got {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ShapeError("x: expected finite numbers; fill missing values first")
    check_array("state", state, np.float32, (B, state_size(layers)))
    masks = _check_masks(layers, masks, T, B)
    traces, at, below = [], 0, x
    final = np.empty_like(state)
    for layer, mask in zip(layers, masks, strict=True):
        if mask.inputs is not None:
            below = below * mask.inputs
        kind, H, R = layer.kind, layer.hidden_size, layer.output_size
        shapes = _trace_shapes(layer, mask, T, B)
        del shapes["inputs"]  # the layer below has them
        arrays = {name: None if shape is None else np.empty(shape, np.float32) for name, shape in shapes.items()}
        trace = LayerTrace(kind, mask, below, **arrays)
        trace.hidden[0] = state[:, at:at + R]
        if kind.has_cell:
            trace.cell[0] = state[:, at + R:at + R + H]
        w_ih, w_hh = np.ascontiguousarray(layer.w_ih.T), np.ascontiguousarray(layer.w_hh.T)
        w_hr = None if layer.w_hr is None else np.ascontiguousarray(layer.w_hr.T)
        p, family = _layer_pass(layer, trace, w_ih, w_hh, w_hr), _FAMILIES[kind]
        with nogil:
            if family == LSTM:
                lstm_forward(&p)
            elif family == GRU:
                gru_forward(&p)
            elif family == GRU_RESET_BEFORE:
                reset_before_forward(&p)
            else:
                rnn_forward(&p)
        final[:, at:at + R] = trace.hidden[T]
        if kind.has_cell:
            final[:, at + R:at + R + H] = trace.cell[T]
        at += layer.state_size
        traces.append(trace)
        below = trace.hidden[1:]
    return Trace(below, final, tuple(traces))


def backward(layers, trace, d_y, *, d_state=None):
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, R]; d_state float32 [B, state_size] by the final state, zero when None.
    State: the trace is left as it is.
    Raises: ShapeError.
    """
    cdef LayerPass p
    cdef Family family
    check_stack(layers)
    T, B = trace.y.shape[:2]
    check_array("d_y", d_y, np.float32, (T, B, layers[len(layers) - 1].output_size))
    _check_trace(layers, trace, T, B)
    if d_state is not None:
        check_array("d_state", d_state, np.float32, (B, state_size(layers)))
    d_initial = np.zeros((B, state_size(layers)), np.float32) if d_state is None else d_state.copy()
    found, above, end = [], d_y.copy(), d_initial.shape[1]
    for layer, kept in zip(reversed(layers), reversed(trace.layers), strict=True):
        H, R, begin = layer.hidden_size, layer.output_size, end - layer.state_size
        grads = CellGradients(*(None if weight is None else np.zeros(weight.shape, np.float32) for weight in (
            layer.w_ih, layer.w_hh, layer.bias, layer.bias_hn, layer.peephole, layer.w_hr)))
        d_z, d_below = kept.gates.copy(), np.empty((T, B, layer.input_size), np.float32)
        d_h = d_initial[:, begin:begin + R].copy()
        d_c = d_initial[:, begin + R:end].copy() if layer.kind.has_cell else None
        d_fed = np.empty((B, R), np.float32)
        d_inner = np.empty((CHUNK, B, H), np.float32)
        p, family = _layer_pass(layer, kept, layer.w_ih, layer.w_hh, layer.w_hr), _FAMILIES[layer.kind]
        p.d_w_ih, p.d_w_hh, p.d_bias = _pointer(grads.w_ih), _pointer(grads.w_hh), _pointer(grads.bias)
        p.d_bias_hn, p.d_peephole = _pointer(grads.bias_hn), _pointer(grads.peephole)
        p.d_w_hr, p.d_inner = _pointer(grads.w_hr), _pointer(d_inner)
        p.z, p.d_x, p.d_y = _pointer(d_z), _pointer(d_below), _pointer(above)
        p.d_h, p.d_c, p.d_fed = _pointer(d_h), _pointer(d_c), _pointer(d_fed)
        with nogil:
            if family == LSTM:
                lstm_backward(&p)
            elif family == GRU:
                gru_backward(&p)
            elif family == GRU_RESET_BEFORE:
                reset_before_backward(&p)
            else:
                rnn_backward(&p)
        d_initial[:, begin:begin + R] = d_h
        if d_c is not None:
            d_initial[:, begin + R:end] = d_c
        if kept.masks.inputs is not None:
            d_below *= kept.masks.inputs
        found.append(grads)
        above, end = d_below, begin
    return Gradients(tuple(reversed(found)), above, d_initial)


def _check_masks(layers, masks, T, B):
    """Return one LayerMasks a layer. Raises: ShapeError unless they fit."""
    if masks is None:
        return [LayerMasks()] * len(layers)
    if len(masks) != len(layers):
        raise ShapeError(f"masks: expected one for each of {len(layers)} layers, got {len(masks)}")
    for number, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        if mask.inputs is not None:
            check_array(f"masks[{number}].inputs", mask.inputs, np.float32, (T, B, layer.input_size))
        if mask.recurrent is not None:
            check_array(f"masks[{number}].recurrent", mask.recurrent, np.float32, (B, layer.output_size))
    return masks


def _check_trace(layers, trace, T, B):
    """Raise ShapeError unless the trace is one of these layers."""
    if len(trace.layers) != len(layers):
        raise ShapeError(f"trace: expected {len(layers)} layers as the weights have, got {len(trace.layers)}")
    for number, (layer, kept) in enumerate(zip(layers, trace.layers, strict=True)):
        if kept.kind is not layer.kind:
            raise ShapeError(f"trace.layers[{number}]: expected a trace of {layer.kind.value}, got {kept.kind.value}")
        for name, shape in _trace_shapes(layer, kept.masks, T, B).items():
            array = getattr(kept, name)
            if shape is None and array is not None:
                raise ShapeError(f"trace.layers[{number}].{name}: not of these weights")
            if shape is not None:
                check_array(f"trace.layers[{number}].{name}", array, np.float32, shape)
