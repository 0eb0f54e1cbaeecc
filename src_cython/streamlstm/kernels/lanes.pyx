"""Which streams a batch advances, and by which samples: a lane a stream, the longest first.

Memory is kept from batch to batch: nothing is allocated once a plan has met the largest batch.
"""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset


cdef class LanePlan:
    """The lanes of the batch at hand, and the memory to plan it in. A lane's state is its slot, still to be found."""

    def __dealloc__(self):
        free(self.marks)
        free(self.lanes)
        free(self.samples)

    cdef int reserve_slots(self, Py_ssize_t slots) except -1:
        """Allocate marks for as many slots. Raises: MemoryError."""
        cdef Mark* marks = <Mark*>calloc(slots, sizeof(Mark))
        if marks == NULL:
            raise MemoryError(f"{slots:,} slots")
        free(self.marks)
        self.marks, self.slots, self.generation = marks, slots, 0
        return 0

    cdef int reserve_samples(self, Py_ssize_t samples) except -1:
        """Allocate for as many samples. Raises: MemoryError."""
        if samples <= self.allocated:
            return 0
        cdef Py_ssize_t allocated = 2 * samples
        free(self.lanes)
        free(self.samples)
        self.allocated = 0
        self.lanes = <fused_lane*>malloc(allocated * sizeof(fused_lane))
        self.samples = <Py_ssize_t*>malloc((5 * allocated + 2) * sizeof(Py_ssize_t))
        if self.lanes == NULL or self.samples == NULL:
            raise MemoryError(f"a batch of {samples:,} samples")
        self.lane_of, self.lengths = self.samples + allocated, self.samples + 2 * allocated
        self.order, self.buckets = self.samples + 3 * allocated, self.samples + 4 * allocated
        self.allocated = allocated
        return 0

    cdef void _next_generation(self) noexcept nogil:
        self.generation += 1
        if self.generation == 0:  # after 2^32 plans old marks would look new
            memset(self.marks, 0, self.slots * sizeof(Mark))
            self.generation = 1

    cdef void _order_lanes(self, Py_ssize_t lanes, Py_ssize_t longest) noexcept nogil:
        """Fill `order`, the longest lanes first, otherwise as they came: a counting sort."""
        cdef Py_ssize_t lane, length, before = 0, size
        memset(self.buckets, 0, (longest + 1) * sizeof(Py_ssize_t))
        for lane in range(lanes):
            self.buckets[self.lengths[lane]] += 1
        for length in range(longest, -1, -1):
            size = self.buckets[length]
            self.buckets[length] = before
            before += size
        for lane in range(lanes):
            length = self.lengths[lane]
            self.order[lane] = self.buckets[length]
            self.buckets[length] += 1

    cdef bint plan_step(self, const long long* slots, Py_ssize_t count) noexcept nogil:
        """Plan one sample of each slot; return whether a slot came twice."""
        cdef Py_ssize_t n
        cdef bint is_twice = False
        self._next_generation()
        for n in range(count):
            is_twice |= self.marks[slots[n]].generation == self.generation
            self.marks[slots[n]].generation = self.generation
            self.samples[n] = n
            self.lanes[n].samples = self.samples + n
            self.lanes[n].count = 1
            self.lanes[n].state = <void*>slots[n]
        self.count = count
        return is_twice

    cdef void plan_advance(self, const long long* slots, Py_ssize_t count) noexcept nogil:
        """Plan samples in order of arrival; slots may repeat."""
        cdef Py_ssize_t n, lane, lanes = 0, longest = 0, end = 0
        cdef Mark* mark
        cdef fused_lane* planned
        self._next_generation()
        for n in range(count):
            mark = &self.marks[slots[n]]
            if mark.generation != self.generation:
                mark.generation = self.generation
                mark.lane = <int>lanes
                self.lengths[lanes] = 0
                lanes += 1
            lane = mark.lane
            self.lane_of[n] = lane
            self.lengths[lane] += 1
            longest = self.lengths[lane] if self.lengths[lane] > longest else longest
        self._order_lanes(lanes, longest)
        for lane in range(lanes):
            self.lanes[self.order[lane]].count = self.lengths[lane]
        for lane in range(lanes):
            self.lanes[lane].samples = self.samples + end
            end += self.lanes[lane].count
            self.lanes[lane].count = 0
        for n in range(count):
            planned = &self.lanes[self.order[self.lane_of[n]]]
            (<Py_ssize_t*>planned.samples)[planned.count] = n
            planned.count += 1
            planned.state = <void*>slots[n]
        self.count = lanes

    cdef bint plan_run(self, const long long* slots, const long long* lengths, Py_ssize_t streams,
                       Py_ssize_t steps) noexcept nogil:
        """Plan samples [steps, streams], of a stream the first `lengths` or all; return whether a slot came twice."""
        cdef Py_ssize_t s, t
        cdef bint is_twice = False
        cdef fused_lane* planned
        self._next_generation()
        for s in range(streams):
            is_twice |= self.marks[slots[s]].generation == self.generation
            self.marks[slots[s]].generation = self.generation
            self.lengths[s] = lengths[s] if lengths != NULL else steps
        self._order_lanes(streams, steps)
        for s in range(streams):
            planned = &self.lanes[self.order[s]]
            planned.samples = self.samples + s * steps
            planned.count = self.lengths[s]
            planned.state = <void*>slots[s]
            for t in range(self.lengths[s]):
                self.samples[s * steps + t] = t * streams + s
        self.count = streams
        while self.count > 0 and self.lanes[self.count - 1].count == 0:
            self.count -= 1
        return is_twice
