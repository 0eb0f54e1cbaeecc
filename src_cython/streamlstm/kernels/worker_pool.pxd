"""Threads that share out pieces of work with the caller."""

cdef extern from "threads/worker_pool.h" nogil:
    ctypedef void (*pool_piece)(void* context, Py_ssize_t piece, Py_ssize_t worker) noexcept nogil

    ctypedef struct pool_choice:
        pass

    ctypedef struct worker_pool:
        pass


cdef class WorkerPool:
    cdef readonly int threads
    cdef worker_pool pool
    cdef long owner                # process that started the threads: a fork has none of them

    cdef void run(self, pool_choice* choice, pool_piece piece, void* context, Py_ssize_t pieces,
                  double work) noexcept nogil


cpdef WorkerPool shared_pool(int threads)
