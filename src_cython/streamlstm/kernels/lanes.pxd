"""Which streams a batch advances, and by which samples."""

from streamlstm.kernels.fused cimport fused_lane


cdef struct Mark:
    unsigned int generation        # of the last plan that met the slot
    int lane


cdef class LanePlan:
    cdef Mark* marks               # [slots]; marks of other generations than the present say nothing
    cdef Py_ssize_t slots
    cdef unsigned int generation   # of the plan at hand
    cdef fused_lane* lanes         # [allocated], the longest first
    cdef Py_ssize_t count          # lanes of the plan at hand
    cdef Py_ssize_t allocated      # samples; of each array below
    cdef Py_ssize_t* samples       # rows of the batch, a lane's together, in order of time
    cdef Py_ssize_t* lane_of       # by sample: its lane, in order of arrival
    cdef Py_ssize_t* lengths       # by lane, in order of arrival
    cdef Py_ssize_t* order         # by lane, in order of arrival: its index in `lanes`
    cdef Py_ssize_t* buckets       # [allocated + 2] of the counting sort

    cdef int reserve_slots(self, Py_ssize_t slots) except -1
    cdef int reserve_samples(self, Py_ssize_t samples) except -1
    cdef bint plan_step(self, const long long* slots, Py_ssize_t count) noexcept nogil
    cdef void plan_advance(self, const long long* slots, Py_ssize_t count) noexcept nogil
    cdef bint plan_run(self, const long long* slots, const long long* lengths, Py_ssize_t streams,
                       Py_ssize_t steps) noexcept nogil
    cdef void _next_generation(self) noexcept nogil
    cdef void _order_lanes(self, Py_ssize_t lanes, Py_ssize_t longest) noexcept nogil
