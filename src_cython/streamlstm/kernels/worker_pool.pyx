"""Threads that share out pieces of work with the caller, without the GIL; worker_pool.h says how."""

from libc.string cimport memset
from posix.unistd cimport getpid


cdef class WorkerPool:
    """A caller and `threads` - 1 threads beside it; one thread is the caller alone."""

    def __cinit__(self, int threads):
        memset(&self.pool, 0, sizeof(worker_pool))
        self.owner = getpid()
        self.threads = pool_begin(&self.pool, threads)

    def __dealloc__(self):
        if self.owner == getpid():
            pool_end(&self.pool)

    cdef void run(self, pool_piece piece, void* context, Py_ssize_t pieces) noexcept nogil:
        """Run pieces 0 .. pieces - 1, each once; return when all are done."""
        cdef Py_ssize_t n
        if self.threads > 1 and self.owner == getpid():
            pool_run(&self.pool, piece, context, pieces)
        else:
            for n in range(pieces):
                piece(context, n, 0)
