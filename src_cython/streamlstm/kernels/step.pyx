"""Streams forward: one sample each, several in order of arrival, or whole blocks.

A batch is planned into lanes, one a stream (lanes.pyx), and lanes go through the network in panels (fused.h). Whatever
the batch, the panel, the slot or the thread, a stream's outputs have the same bits, since every sum has one order.
"""

cimport numpy as cnp

import numpy as np

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.fused cimport PANEL, fused_batch, fused_lane
from streamlstm.kernels.state_arena cimport StateArena
from streamlstm.kernels.weights cimport NetworkWeights

cnp.import_array()

cdef enum:
    PANELS_A_THREAD = 2   # at least, so that a thread that comes late leaves its share to the others
    LEAST_PANEL = 12      # streams: smaller panels read the weights for too few
    LEAST_SHARED = 2000000  # floating-point operations, some 20 us: below, waking a thread costs as much as it does


cdef struct Job:
    void* weights                  # borrowed NetworkWeights
    void* arena                    # borrowed StateArena
    const fused_lane* lanes
    Py_ssize_t count, panel
    fused_batch batch


cdef void _run_panel(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef Py_ssize_t begin = index * job.panel, end = begin + job.panel
    cdef Py_ssize_t last = end if end < job.count else job.count, after = job.count - last
    (<NetworkWeights>job.weights).path.run(
        &(<NetworkWeights>job.weights).network, job.lanes + begin, last - begin, job.lanes + last,
        after if after < job.panel else job.panel, &job.batch,
        <float*>((<StateArena>job.arena).scratch + worker * (<StateArena>job.arena).scratch_bytes))


cdef void _run_lanes(NetworkWeights weights, StateArena arena, fused_batch* batch) noexcept nogil:
    """Advance the lanes that are planned, in panels: more of them where there is work for several threads."""
    cdef Py_ssize_t s, samples = 0, count = arena.plan.count, panels = (count + PANEL - 1) // PANEL, wanted = 1
    cdef fused_lane* lanes = arena.plan.lanes
    cdef Job job
    for s in range(count):
        lanes[s].state = arena.at(<Py_ssize_t>lanes[s].state)
        samples += lanes[s].count
    if samples * weights.network.work > LEAST_SHARED:
        wanted = PANELS_A_THREAD * arena.pool.threads
        wanted = wanted if wanted < count // LEAST_PANEL else count // LEAST_PANEL
        panels = panels if panels > wanted else wanted
    job.weights, job.arena = <void*>weights, <void*>arena
    job.lanes, job.count, job.batch = lanes, count, batch[0]
    job.panel = (count + panels - 1) // panels
    arena.pool.run(&arena.choice if wanted > 1 else NULL, _run_panel, &job, (count + job.panel - 1) // job.panel,
                   samples * weights.network.work)


cdef inline int _need(str name, object array, int number, object dtype, int ndim, Py_ssize_t a, Py_ssize_t b=-1,
                      Py_ssize_t c=-1) except -1:
    """Raise ShapeError unless it is an array of this type and shape (-1 = any) in C order, aligned.

    Looked at field by field: `check_array`, which finds the words, costs as much as a step of one stream.
    """
    cdef Py_ssize_t[3] shape = [a, b, c]
    cdef bint is_good = (cnp.PyArray_Check(array) and cnp.PyArray_TYPE(array) == number
                         and cnp.PyArray_NDIM(array) == ndim and cnp.PyArray_ISCARRAY_RO(array))
    cdef int axis
    if is_good:
        for axis in range(ndim):
            is_good &= shape[axis] < 0 or shape[axis] == cnp.PyArray_DIM(array, axis)
    if not is_good:
        check_array(name, array, dtype, tuple([None if shape[axis] < 0 else shape[axis] for axis in range(ndim)]))
        raise ShapeError(f"{name}: expected memory aligned to its type")
    return 0


cdef int _need_output(str name, object array, object x) except -1:
    """Raise ShapeError unless the array may be written and shares no memory with x."""
    cdef char* begin = <char*>cnp.PyArray_DATA(array)
    cdef char* other = <char*>cnp.PyArray_DATA(x)
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ShapeError(f"{name}: expected memory that may be written")
    if begin < other + cnp.PyArray_NBYTES(x) and other < begin + cnp.PyArray_NBYTES(array):
        raise ShapeError(f"{name}: expected memory that is not that of x")
    return 0


cdef int _need_slots(StateArena arena, const long long* slots, Py_ssize_t count) except -1:
    """Raise ShapeError unless slots are the arena's."""
    cdef Py_ssize_t n
    cdef long long low = slots[0], high = slots[0]
    for n in range(1, count):
        low = slots[n] if slots[n] < low else low
        high = slots[n] if slots[n] > high else high
    if low < 0 or high >= arena.capacity:
        raise ShapeError(f"slots: expected 0 to {arena.capacity - 1}, got {low} to {high}")
    return 0


cdef int _need_arena(NetworkWeights weights, StateArena arena) except -1:
    if arena.is_busy:
        raise UsageError("arena: another thread is advancing it; give each thread an arena of its own")
    if arena.fitting is not weights:
        arena.fit(weights)
    return 0


cdef int _refuse_twice() except -1:
    raise ShapeError("slots: expected each slot once, got one twice; `advance` takes several samples of a stream")


cdef inline void _fill(fused_batch* batch, StateArena arena, object x, object reset, object out, object errors):
    batch.x = <const float*>cnp.PyArray_DATA(x)
    batch.out = <float*>cnp.PyArray_DATA(out)
    batch.reset = NULL
    if reset is not None:
        batch.reset = <const unsigned char*>cnp.PyArray_DATA(reset)
    batch.errors = NULL
    if errors is not None:
        batch.errors = <float*>cnp.PyArray_DATA(errors)
    batch.is_half = arena.is_half


cdef int _need_errors(NetworkWeights weights, object errors, object x, int ndim, Py_ssize_t a, Py_ssize_t b) except -1:
    _need("errors", errors, cnp.NPY_FLOAT32, np.float32, ndim, a, b)
    _need_output("errors", errors, x)
    if weights.output_size < weights.input_size:
        raise ShapeError(
            f"errors: expected outputs for all {weights.input_size} inputs, the network gives {weights.output_size}"
        )
    return 0


def step(NetworkWeights weights not None, StateArena arena not None, slots, x, out, errors=None):
    """Advance B distinct streams by one sample each.

    Shapes: slots int64 [B]; x float32 [B, I]; out float32 [B, D], what the head says, or h of the top layer without
    one; errors float32 [B], the mean over I of (out - x)^2, or None.
    State: the arena's rows of these slots advance in place. Nothing is allocated once the arena has met the largest B.
    Raises: ShapeError before any state changes, also for a slot that comes twice.
    """
    _need("slots", slots, cnp.NPY_INT64, np.int64, 1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(slots, 0)
    cdef const long long* places = <const long long*>cnp.PyArray_DATA(slots)
    cdef fused_batch batch
    _need("x", x, cnp.NPY_FLOAT32, np.float32, 2, count, weights.input_size)
    _need("out", out, cnp.NPY_FLOAT32, np.float32, 2, count, weights.output_size)
    _need_output("out", out, x)
    if errors is not None:
        _need_errors(weights, errors, x, 1, count, -1)
    _need_arena(weights, arena)
    if count == 0:
        return
    _need_slots(arena, places, count)
    arena.plan.take_samples(count)
    _fill(&batch, arena, x, None, out, errors)
    if arena.plan.plan_step(places, count):
        _refuse_twice()
    arena.is_busy = True
    with nogil:
        _run_lanes(weights, arena, &batch)
    arena.is_busy = False


def advance(NetworkWeights weights not None, StateArena arena not None, slots, x, reset, out, errors=None):
    """Advance streams by N samples in order of arrival; slots may repeat.

    Shapes: slots int64 [N]; x float32 [N, I]; reset uint8 [N] (1 = zero the stream's state before this sample) or None;
    out float32 [N, D]; errors float32 [N] or None, as in `step`.
    State: as if each sample were stepped on its own, in order; streams do not meet.
    Raises: ShapeError before any state changes.
    """
    _need("slots", slots, cnp.NPY_INT64, np.int64, 1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(slots, 0)
    cdef const long long* places = <const long long*>cnp.PyArray_DATA(slots)
    cdef fused_batch batch
    _need("x", x, cnp.NPY_FLOAT32, np.float32, 2, count, weights.input_size)
    _need("out", out, cnp.NPY_FLOAT32, np.float32, 2, count, weights.output_size)
    _need_output("out", out, x)
    if reset is not None:
        _need("reset", reset, cnp.NPY_UINT8, np.uint8, 1, count)
    if errors is not None:
        _need_errors(weights, errors, x, 1, count, -1)
    _need_arena(weights, arena)
    if count == 0:
        return
    _need_slots(arena, places, count)
    arena.plan.take_samples(count)
    _fill(&batch, arena, x, reset, out, errors)
    arena.is_busy = True
    with nogil:
        arena.plan.plan_advance(places, count)
        _run_lanes(weights, arena, &batch)
    arena.is_busy = False


def run(NetworkWeights weights not None, StateArena arena not None, slots, x, out, lengths=None, errors=None):
    """Advance S distinct streams by whole blocks: T samples each, or the first `lengths` of them.

    Shapes: slots int64 [S]; x float32 [T, S, I]; out float32 [T, S, D]; lengths int64 [S], 0 .. T, or None;
    errors float32 [T, S] or None, as in `step`. Rows beyond a stream's length are left as they are.
    State: as if the samples were stepped one after the other.
    Raises: ShapeError before any state changes.
    """
    _need("slots", slots, cnp.NPY_INT64, np.int64, 1, -1)
    _need("x", x, cnp.NPY_FLOAT32, np.float32, 3, -1, -1, weights.input_size)
    cdef Py_ssize_t steps = cnp.PyArray_DIM(x, 0), streams = cnp.PyArray_DIM(slots, 0), s
    cdef const long long* places = <const long long*>cnp.PyArray_DATA(slots)
    cdef const long long* ends = NULL
    cdef fused_batch batch
    _need("x", x, cnp.NPY_FLOAT32, np.float32, 3, steps, streams, weights.input_size)
    _need("out", out, cnp.NPY_FLOAT32, np.float32, 3, steps, streams, weights.output_size)
    _need_output("out", out, x)
    if errors is not None:
        _need_errors(weights, errors, x, 2, steps, streams)
    if lengths is not None:
        _need("lengths", lengths, cnp.NPY_INT64, np.int64, 1, streams)
        ends = <const long long*>cnp.PyArray_DATA(lengths)
        for s in range(streams):
            if not 0 <= ends[s] <= steps:
                raise ShapeError(f"lengths: expected 0 to {steps}, got {ends[s]} for stream {s}")
    _need_arena(weights, arena)
    if streams == 0 or steps == 0:
        return
    _need_slots(arena, places, streams)
    arena.plan.take_samples(steps * streams)
    _fill(&batch, arena, x, None, out, errors)
    if arena.plan.plan_run(places, ends, streams, steps):
        _refuse_twice()
    if arena.plan.count == 0:
        return
    arena.is_busy = True
    with nogil:
        _run_lanes(weights, arena, &batch)
    arena.is_busy = False
