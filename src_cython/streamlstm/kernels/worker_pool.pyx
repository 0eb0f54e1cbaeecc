"""Threads that share out pieces of work with the caller, without the GIL; threads/worker_pool.h says how."""

from libc.string cimport memset
from posix.unistd cimport getpid

cdef extern from "threads/worker_pool.h" nogil:
    int pool_begin(worker_pool* pool, int threads)
    void pool_run(worker_pool* pool, pool_choice* choice, pool_piece run, void* context, Py_ssize_t pieces,
                  double work)
    void pool_end(worker_pool* pool)

_pools = {}


cdef class WorkerPool:
    """A caller and `threads` - 1 threads beside it; one thread is the caller alone."""

    def __cinit__(self, int threads):
        memset(&self.pool, 0, sizeof(worker_pool))
        self.owner = getpid()
        self.threads = pool_begin(&self.pool, threads)

    def __dealloc__(self):
        if self.owner == getpid():
            pool_end(&self.pool)

    cdef void run(self, pool_choice* choice, pool_piece piece, void* context, Py_ssize_t pieces,
                  double work) noexcept nogil:
        """Run pieces 0 .. pieces - 1, each once; return when all are done.

        `choice` remembers which way was faster; without one the caller works alone.
        """
        cdef Py_ssize_t n
        if choice == NULL or self.threads == 1 or pieces == 1 or self.owner != getpid():
            for n in range(pieces):
                piece(context, n, 0)
        else:
            pool_run(&self.pool, choice, piece, context, pieces, work)


cpdef WorkerPool shared_pool(int threads):
    """Return the process's pool of as many threads: arenas share it, and whoever finds it taken works alone."""
    pool = _pools.get(threads)
    if pool is None or (<WorkerPool>pool).owner != getpid():
        pool = _pools[threads] = WorkerPool(threads)
    return pool
