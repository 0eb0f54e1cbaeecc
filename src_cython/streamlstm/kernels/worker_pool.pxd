"""Threads that share out pieces of work with the caller."""

cdef extern from "worker_pool.h" nogil:
    ctypedef void (*pool_piece)(void* context, Py_ssize_t piece, Py_ssize_t worker) noexcept nogil

    ctypedef struct worker_pool:
        pass

    int pool_begin(worker_pool* pool, int threads)
    void pool_run(worker_pool* pool, pool_piece run, void* context, Py_ssize_t pieces)
    void pool_end(worker_pool* pool)


cdef class WorkerPool:
    cdef readonly int threads
    cdef worker_pool pool
    cdef long owner                # process that started the threads: a fork has none of them

    cdef void run(self, pool_piece piece, void* context, Py_ssize_t pieces) noexcept nogil
