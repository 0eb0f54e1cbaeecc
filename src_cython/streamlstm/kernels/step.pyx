"""Streams forward: one sample each, several in order of arrival, or whole blocks.

A batch is planned into lanes, one a stream (lanes.pyx), and lanes go through the network in panels (step/fused.h).
Whatever the batch, the panel, the slot or the thread, a stream's outputs have the same bits, since every sum has one
order.
"""

cimport numpy as cnp

from streamlstm.errors import ShapeError, UsageError
from streamlstm.kernels.checks cimport Memory, need_apart, need_input, need_output, need_slots
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


cdef int _need_arena(NetworkWeights weights, StateArena arena) except -1:
    if arena.is_busy:
        raise UsageError("arena: another thread is advancing it; give each thread an arena of its own")
    if arena.fitting is not weights:
        arena.fit(weights)
    return 0


cdef int _refuse_twice() except -1:
    raise ShapeError("slots: expected each slot once, got one twice; `advance` takes several samples of a stream")


cdef int _fill(fused_batch* batch, Memory* memory, NetworkWeights weights, StateArena arena, object x, object reset,
               object out, object errors, int ndim, Py_ssize_t a, Py_ssize_t b) except -1:
    """Check the samples' arrays, of shape [a] or [a, b] by sample, and the arena; fill the batch."""
    cdef Py_ssize_t inputs = weights.input_size, outputs = weights.output_size
    batch.x = <const float*>need_input(memory, "x", x, cnp.NPY_FLOAT32, ndim + 1, a, b if ndim > 1 else inputs, inputs)
    batch.out = <float*>need_output(
        memory, "out", out, cnp.NPY_FLOAT32, ndim + 1, a, b if ndim > 1 else outputs, outputs
    )
    batch.reset = NULL
    if reset is not None:
        batch.reset = <const unsigned char*>need_input(memory, "reset", reset, cnp.NPY_UINT8, ndim, a, b)
    batch.errors = NULL
    if errors is not None:
        batch.errors = <float*>need_output(memory, "errors", errors, cnp.NPY_FLOAT32, ndim, a, b)
        if outputs < inputs:
            raise ShapeError(f"errors: expected outputs for all {inputs} inputs, the network gives {outputs}")
    batch.is_half = arena.is_half
    need_apart(memory)
    return _need_arena(weights, arena)


def step(NetworkWeights weights not None, StateArena arena not None, slots, x, out, errors=None):
    """Advance B distinct streams by one sample each.

    Shapes: slots int64 [B]; x float32 [B, I]; out float32 [B, D], what the head says, or h of the top layer without
    one; errors float32 [B], the mean over I of (out - x)^2, or None.
    State: the arena's rows of these slots advance in place. Nothing is allocated once the arena has met the largest B.
    Raises: ShapeError before any state changes, also for a slot that comes twice.
    """
    cdef Memory memory
    cdef fused_batch batch
    memory.count = 0
    cdef const long long* of_rows = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(slots, 0)
    _fill(&batch, &memory, weights, arena, x, None, out, errors, 1, count, -1)
    if count == 0:
        return
    need_slots(of_rows, count, arena.capacity)
    arena.plan.reserve_samples(count)
    if arena.plan.plan_step(of_rows, count):
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
    cdef Memory memory
    cdef fused_batch batch
    memory.count = 0
    cdef const long long* of_rows = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    cdef Py_ssize_t count = cnp.PyArray_DIM(slots, 0)
    _fill(&batch, &memory, weights, arena, x, reset, out, errors, 1, count, -1)
    if count == 0:
        return
    need_slots(of_rows, count, arena.capacity)
    arena.plan.reserve_samples(count)
    arena.is_busy = True
    with nogil:
        arena.plan.plan_advance(of_rows, count)
        _run_lanes(weights, arena, &batch)
    arena.is_busy = False


def run(NetworkWeights weights not None, StateArena arena not None, slots, x, out, lengths=None, errors=None):
    """Advance S distinct streams by whole blocks: T samples each, or the first `lengths` of them.

    Shapes: slots int64 [S]; x float32 [T, S, I]; out float32 [T, S, D]; lengths int64 [S], 0 .. T, or None;
    errors float32 [T, S] or None, as in `step`. Rows beyond a stream's length are left as they are.
    State: as if the samples were stepped one after the other.
    Raises: ShapeError before any state changes.
    """
    cdef Memory memory
    cdef fused_batch batch
    cdef const long long* ends = NULL
    memory.count = 0
    cdef const long long* of_streams = <const long long*>need_input(&memory, "slots", slots, cnp.NPY_INT64, 1, -1)
    cdef Py_ssize_t steps = -1, streams = cnp.PyArray_DIM(slots, 0), s
    if lengths is not None:
        ends = <const long long*>need_input(&memory, "lengths", lengths, cnp.NPY_INT64, 1, streams)
    if cnp.PyArray_Check(x) and cnp.PyArray_NDIM(x) > 0:
        steps = cnp.PyArray_DIM(x, 0)
    _fill(&batch, &memory, weights, arena, x, None, out, errors, 2, steps, streams)
    for s in range(streams if ends != NULL else 0):
        if not 0 <= ends[s] <= steps:
            raise ShapeError(f"lengths: expected 0 to {steps}, got {ends[s]} for stream {s}")
    if streams == 0 or steps == 0:
        return
    need_slots(of_streams, streams, arena.capacity)
    arena.plan.reserve_samples(steps * streams)
    if arena.plan.plan_run(of_streams, ends, streams, steps):
        _refuse_twice()
    if arena.plan.count == 0:
        return
    arena.is_busy = True
    with nogil:
        _run_lanes(weights, arena, &batch)
    arena.is_busy = False
