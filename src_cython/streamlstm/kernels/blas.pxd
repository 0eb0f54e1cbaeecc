"""The one door to BLAS: float32 products of row-major matrices.

    multiply       C (M, N) = A (M, K) B (K, N)   + beta C        B stored (K, N); rows of A are lda apart
    multiply_nt    C (M, N) = A (M, K) B (N, K)^T + beta C        B stored (N, K)
    multiply_tn    C (M, N) = A (K, M)^T B (K, N) + beta C        A stored (K, M)

BLAS is column-major, where a row-major matrix is its own transpose: every call asks for C^T.
"""

from scipy.linalg.cython_blas cimport sgemm


cdef inline void multiply(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, Py_ssize_t lda, const float* B,
                          float beta, float* C) noexcept nogil:
    cdef int m = <int>M, n = <int>N, k = <int>K, a = <int>lda
    cdef float one = 1.0
    sgemm(b"N", b"N", &n, &m, &k, &one, <float*>B, &n, <float*>A, &a, &beta, C, &n)


cdef inline void multiply_nt(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, const float* B, float beta,
                             float* C) noexcept nogil:
    cdef int m = <int>M, n = <int>N, k = <int>K
    cdef float one = 1.0
    sgemm(b"T", b"N", &n, &m, &k, &one, <float*>B, &k, <float*>A, &k, &beta, C, &n)


cdef inline void multiply_tn(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, const float* B, float beta,
                             float* C) noexcept nogil:
    cdef int m = <int>M, n = <int>N, k = <int>K
    cdef float one = 1.0
    sgemm(b"N", b"T", &n, &m, &k, &one, <float*>B, &n, <float*>A, &m, &beta, C, &n)
