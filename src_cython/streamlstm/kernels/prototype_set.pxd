"""The C interface of the distances to prototypes; see scoring/prototypes.h."""

cdef extern from "scoring/prototypes.h" nogil:
    enum:
        PROTOTYPE_PARTS

    ctypedef struct prototype_set:
        Py_ssize_t channels, taps, count, padded, stride, span
        const float* plain[2]
        const float* packed[2]
        const float* half_squares[2]
        const float* floors

    ctypedef struct prototype_batch:
        Py_ssize_t count
        const long long* slots
        const float* x
        const unsigned char* reset
        const long long* ages
        float* windows
        float* statistics
        float* contribution
        float* expected

    ctypedef struct prototype_path:
        Py_ssize_t width
        Py_ssize_t (*scratch)(const prototype_set* held) noexcept nogil
        void (*advance)(const prototype_set* held, const prototype_batch* batch, float* scratch) noexcept nogil
