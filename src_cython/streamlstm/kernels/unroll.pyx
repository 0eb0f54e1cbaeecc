"""T steps of a stack of layers of any cell for training: forward, keeping what backward needs; backward beside it.

The equations stand in cells.py and, with their products, in training/training.c.
"""

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.cells import CellKind, check_stack, state_size
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.isa import isa
from streamlstm.kernels.traces import CellGradients, Gradients, LayerMasks, LayerTrace, Trace, TrainingScratch
from streamlstm.kernels.cell_kinds cimport number_of
from streamlstm.kernels.isa cimport find_isa
from streamlstm.kernels.training cimport layer_pass, training_path


cdef float* _pointer(array) except? NULL:
    """First value of a float32 array in C order, NULL for None. The caller keeps the array alive."""
    cdef const float[::1] values
    if array is None:
        return NULL
    values = array.reshape(-1)
    return <float*>&values[0]


def unroll(layers, x, *, state, masks=None, scratch=None):
    """Run T steps from a given state.

    Shapes: layers are L CellWeights; x float32 [T, B, I]; state float32 [B, state_size], by layer h, then c; masks are
    L LayerMasks, or None.
    State: with a scratch the trace is good until the next call with it; without, for ever.
    Raises: ShapeError.
    """
    cdef const training_path* path = find_isa(isa()).training
    check_stack(layers)
    check_array("x", x, np.float32, (None, None, layers[0].input_size))
    T, B = x.shape[:2]
    if T < 1 or B < 1:
        raise ShapeError(f"x: expected at least one step and one lane, got {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ShapeError("x: expected finite numbers; fill missing values first")
    check_array("state", state, np.float32, (B, state_size(layers)))
    masks = _check_masks(layers, masks, T, B)
    scratch = TrainingScratch() if scratch is None else scratch
    scratch.generation += 1
    traces, at, below = [], 0, x
    final = np.empty_like(state)
    for number, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        kind, H, R = layer.kind, layer.hidden_size, layer.output_size
        shapes = _trace_shapes(layer, mask, T, B, path.width, path.kept(number_of(kind)))
        if mask.inputs is not None:
            below = np.multiply(below, mask.inputs, out=scratch.allocate(f"{number}.inputs", shapes["inputs"]))
        del shapes["inputs"]  # the layer below has them
        arrays = {name: None if shape is None else scratch.allocate(f"{number}.{name}", shape)
                  for name, shape in shapes.items()}
        trace = LayerTrace(kind, mask, below, **arrays)
        trace.hidden[0] = state[:, at:at + R]
        if kind.has_cell:
            trace.cell[0] = _to_blocks(state[:, at + R:at + R + H], path.width)
        _forward(path, layer, trace, scratch)
        if kind.has_cell:
            final[:, at + R:at + R + H] = _from_blocks(trace.cell[T], H)
        final[:, at:at + R] = trace.hidden[T]
        at += layer.state_size
        traces.append(trace)
        below = trace.hidden[1:]
    return Trace(below, final, tuple(traces), scratch, scratch.generation)


def backward(layers, trace, d_y, *, d_state=None, wants_d_x=True):
    """Return the gradients of a loss, given its gradients by the outputs of `unroll`.

    Shapes: d_y float32 [T, B, R]; d_state float32 [B, state_size] by the final state, zero when None.
    State: the trace is left as it is.
    Raises: ShapeError; UsageError when the trace's memory has been used again.
    """
    cdef const training_path* path = find_isa(isa()).training
    check_stack(layers)
    T, B = trace.y.shape[:2]
    check_array("d_y", d_y, np.float32, (T, B, layers[len(layers) - 1].output_size))
    scratch = trace.scratch
    if trace.generation != scratch.generation:
        raise UsageError("trace: its memory has been used by a later unroll with the same scratch; differentiate first")
    for number, (layer, kept) in enumerate(_layers_of(layers, trace)):
        _check_trace(f"trace.layers[{number}]", kept,
                     _trace_shapes(layer, kept.masks, T, B, path.width, path.kept(number_of(layer.kind))))
    if d_state is not None:
        check_array("d_state", d_state, np.float32, (B, state_size(layers)))
    d_initial = np.zeros((B, state_size(layers)), np.float32) if d_state is None else d_state.copy()
    found, above, end = [], d_y, d_initial.shape[1]
    for number in range(len(layers) - 1, -1, -1):
        layer, kept = layers[number], trace.layers[number]
        R, begin = layer.output_size, end - layer.state_size
        grads = CellGradients(*(None if weight is None else np.zeros(weight.shape, np.float32) for weight in (
            layer.w_ih, layer.w_hh, layer.bias, layer.bias_hn, layer.peephole, layer.w_hr)))
        d_below, shape = None, (T, B, layer.input_size)
        if number:
            d_below = scratch.allocate(f"{number}.d_x", shape)
        elif wants_d_x:
            d_below = np.empty(shape, np.float32)
        d_h = d_initial[:, begin:begin + R].copy()
        d_c = _to_blocks(d_initial[:, begin + R:end], path.width) if layer.kind.has_cell else None
        _backward(path, layer, kept, grads, above, d_below, d_h, d_c, scratch)
        if d_c is not None:
            d_initial[:, begin + R:end] = _from_blocks(d_c, layer.hidden_size)
        d_initial[:, begin:begin + R] = d_h
        if kept.masks.inputs is not None and d_below is not None:
            d_below *= kept.masks.inputs
        found.append(grads)
        above, end = d_below, begin
    return Gradients(tuple(reversed(found)), np.empty((T, B, 0), np.float32) if above is None else above, d_initial)


# ---- one layer ----


def _to_blocks(rows, W):
    """[B, H] -> [blocks, B, W], zero beyond H."""
    B, H = rows.shape
    padded = np.zeros((B, (H + W - 1) // W * W), np.float32)
    padded[:, :H] = rows
    return np.ascontiguousarray(padded.reshape(B, -1, W).transpose(1, 0, 2))


def _from_blocks(blocks, H):
    """[blocks, B, W] -> [B, H]."""
    return blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)[:, :H]


cdef layer_pass _layer_pass(layer, trace) except *:
    """Sizes and pointers of one layer; those of the gradients are left NULL."""
    cdef layer_pass p
    p.cell = number_of(layer.kind)
    p.T, p.B, p.inputs = trace.inputs.shape
    p.H, p.R = layer.hidden_size, layer.output_size
    p.w_ih, p.w_hh, p.bias = _pointer(layer.w_ih), _pointer(layer.w_hh), _pointer(layer.bias)
    p.bias_hn, p.peephole, p.w_hr = _pointer(layer.bias_hn), _pointer(layer.peephole), _pointer(layer.w_hr)
    p.mask, p.reset = _pointer(trace.masks.recurrent), _pointer(trace.reset)
    p.x, p.gates, p.c, p.h = _pointer(trace.inputs), _pointer(trace.gates), _pointer(trace.cell), _pointer(trace.hidden)
    p.fed, p.unprojected = _pointer(trace.hidden if trace.fed is None else trace.fed), _pointer(trace.unprojected)
    p.d_y = NULL
    p.d_h = p.d_c = p.d_x = p.scratch = NULL
    p.d_w_ih = p.d_w_hh = p.d_bias = p.d_bias_hn = p.d_peephole = p.d_w_hr = NULL
    return p


cdef _forward(const training_path* path, layer, trace, scratch):
    cdef layer_pass p = _layer_pass(layer, trace)
    buffer = scratch.allocate(f"scratch {path.scratch(&p)}", (path.scratch(&p),))
    p.scratch = _pointer(buffer)
    with nogil:
        path.forward(&p)


cdef _backward(const training_path* path, layer, trace, grads, d_y, d_x, d_h, d_c, scratch):
    cdef layer_pass p = _layer_pass(layer, trace)
    buffer = scratch.allocate(f"scratch {path.scratch(&p)}", (path.scratch(&p),))
    p.scratch = _pointer(buffer)
    p.d_y, p.d_x, p.d_h, p.d_c = _pointer(d_y), _pointer(d_x), _pointer(d_h), _pointer(d_c)
    p.d_w_ih, p.d_w_hh, p.d_bias = _pointer(grads.w_ih), _pointer(grads.w_hh), _pointer(grads.bias)
    p.d_bias_hn, p.d_peephole, p.d_w_hr = _pointer(grads.bias_hn), _pointer(grads.peephole), _pointer(grads.w_hr)
    with nogil:
        path.backward(&p)


# ---- what fits what ----


def _trace_shapes(layer, masks, T, B, W, kept):
    """Return the shape of every array of a LayerTrace, None for those that the cell has not; kept: gates of a unit."""
    H, R, kind = layer.hidden_size, layer.output_size, layer.kind
    blocks = (H + W - 1) // W
    return {
        "inputs": (T, B, layer.input_size),
        "gates": (T, blocks, B, kept, W) if kept else None,
        "hidden": (T + 1, B, R),
        "cell": (T + 1, blocks, B, W) if kind.has_cell else None,
        "reset": (T, B, R) if kind is CellKind.GRU_RESET_BEFORE else None,
        "fed": None if masks.recurrent is None else (T, B, R),
        "unprojected": None if layer.w_hr is None else (T, B, blocks * W),
    }


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


def _layers_of(layers, trace):
    """Return weights and trace by layer. Raises: ShapeError unless they are as many, and of the same cells."""
    if len(trace.layers) != len(layers):
        raise ShapeError(f"trace: expected {len(layers)} layers as the weights have, got {len(trace.layers)}")
    for number, (layer, kept) in enumerate(zip(layers, trace.layers, strict=True)):
        if kept.kind is not layer.kind:
            raise ShapeError(f"trace.layers[{number}]: expected a trace of {layer.kind.value}, got {kept.kind.value}")
    return list(zip(layers, trace.layers, strict=True))


def _check_trace(name, kept, shapes):
    """Raise ShapeError unless a layer's trace has these shapes."""
    for field, shape in shapes.items():
        array = getattr(kept, field)
        if shape is None and array is not None:
            raise ShapeError(f"{name}.{field}: not of these weights")
        if shape is not None:
            check_array(f"{name}.{field}", array, np.float32, shape)
