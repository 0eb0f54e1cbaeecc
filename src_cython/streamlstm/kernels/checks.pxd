"""What the faces of kernels ask of their arrays, read field by field: a check costs nanoseconds, and says so in words
only when it fails."""


cdef enum:
    MOST_ARRAYS = 24


cdef struct Span:
    const char* begin
    const char* end
    void* name                         # borrowed str, for messages
    bint is_written


cdef struct Memory:                    # what one call reads and writes: the arrays that are not empty
    int count
    Span[MOST_ARRAYS] spans


# Each raises ShapeError, and begins with memory.count = 0. A size of -1 is any size.
cdef void* need_input(Memory* memory, str name, object array, int number, int ndim, Py_ssize_t a, Py_ssize_t b=*,
                      Py_ssize_t c=*) except? NULL
cdef void* need_output(Memory* memory, str name, object array, int number, int ndim, Py_ssize_t a, Py_ssize_t b=*,
                       Py_ssize_t c=*) except? NULL
cdef int need_apart(const Memory* memory) except -1
cdef int need_slots(const long long* slots, Py_ssize_t count, Py_ssize_t capacity) except -1
