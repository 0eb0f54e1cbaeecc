"""What the faces of kernels ask of their arrays before any state changes.

Arrays are read field by field: `check_array`, which finds the words, costs as much as a step of one stream, and is
called only for an array that does not fit.
"""

cimport numpy as cnp

from streamlstm.errors import ShapeError
from streamlstm.kernels.faces import check_array
from streamlstm.kernels.fused cimport MAX_LAYERS as _MAX_LAYERS

cnp.import_array()

MAX_LAYERS = _MAX_LAYERS
"""Layers of a stack that the step has room for."""


cdef int _need(str name, object array, int number, int ndim, const Py_ssize_t* shape) except -1:
    """Raise ShapeError unless it is an array of this type and shape in C order, aligned."""
    cdef int axis
    cdef bint is_good = cnp.PyArray_Check(array)
    if is_good:
        is_good = (cnp.PyArray_TYPE(<cnp.ndarray>array) == number and cnp.PyArray_NDIM(<cnp.ndarray>array) == ndim
                   and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))
    if is_good:
        for axis in range(ndim):
            is_good &= shape[axis] < 0 or shape[axis] == cnp.PyArray_DIM(<cnp.ndarray>array, axis)
    if not is_good:
        wanted = tuple([None if shape[axis] < 0 else shape[axis] for axis in range(ndim)])
        check_array(name, array, cnp.PyArray_DescrFromType(number), wanted)
        if not cnp.PyArray_ISALIGNED(<cnp.ndarray>array):
            raise ShapeError(f"{name}: expected memory aligned to its type")
    return 0


cdef inline void _remember(Memory* memory, str name, object array, bint is_written) noexcept:
    cdef const char* begin = <const char*>cnp.PyArray_DATA(<cnp.ndarray>array)
    cdef Py_ssize_t size = cnp.PyArray_NBYTES(<cnp.ndarray>array)
    if size == 0:
        return
    memory.spans[memory.count] = Span(begin, begin + size, <void*>name, is_written)
    memory.count += 1


cdef void* need_input(Memory* memory, str name, object array, int number, int ndim, Py_ssize_t a, Py_ssize_t b=-1,
                      Py_ssize_t c=-1) except? NULL:
    """Return the data of an array that is read."""
    cdef Py_ssize_t[3] shape = [a, b, c]
    _need(name, array, number, ndim, shape)
    _remember(memory, name, array, False)
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef void* need_output(Memory* memory, str name, object array, int number, int ndim, Py_ssize_t a, Py_ssize_t b=-1,
                       Py_ssize_t c=-1) except? NULL:
    """Return the data of an array that is written, be it state or result."""
    cdef Py_ssize_t[3] shape = [a, b, c]
    _need(name, array, number, ndim, shape)
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>array):
        raise ShapeError(f"{name}: expected memory that may be written")
    _remember(memory, name, array, True)
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef int need_apart(const Memory* memory) except -1:
    """Raise ShapeError if what is written shares memory with another array."""
    cdef int one, other
    cdef const Span* written
    cdef const Span* span
    for one in range(memory.count):
        written = &memory.spans[one]
        if written.is_written:
            for other in range(memory.count):
                span = &memory.spans[other]
                if one != other and written.begin < span.end and span.begin < written.end:
                    raise ShapeError(
                        f"{<object>written.name}: expected memory that is not that of {<object>span.name}"
                    )
    return 0


cdef int need_slots(const long long* slots, Py_ssize_t count, Py_ssize_t capacity) except -1:
    """Raise ShapeError unless all slots are below the capacity."""
    cdef Py_ssize_t n
    cdef long long low = 0, high = -1
    if count > 0:
        low, high = slots[0], slots[0]
    for n in range(1, count):
        low = slots[n] if slots[n] < low else low
        high = slots[n] if slots[n] > high else high
    if low < 0 or high >= capacity:
        raise ShapeError(f"slots: expected 0 to {capacity - 1}, got {low} to {high}")
    return 0
