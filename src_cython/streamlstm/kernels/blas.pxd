"""The one door to BLAS: float32 products of row-major matrices.

    multiply       C (M, N) = A (M, K) B (K, N)   + beta C        rows of A are lda apart
    multiply_part  the same, for parts of wider matrices          rows of A, B and C are lda, ldb and ldc apart
    multiply_tn    C (M, N) = A (K, M)^T B (K, N) + beta C        A stored (K, M); its rows are lda apart

BLAS is column-major, where a row-major matrix is its own transpose: every call asks for C^T.
"""

from scipy.linalg.cython_blas cimport sgemm


cdef inline void multiply_part(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, Py_ssize_t lda, const float* B,
                               Py_ssize_t ldb, float beta, float* C, Py_ssize_t ldc) noexcept nogil:
    cdef int m = <int>M, n = <int>N, k = <int>K, a = <int>lda, b = <int>ldb, c = <int>ldc
    cdef float one = 1.0
    sgemm(b"N", b"N", &n, &m, &k, &one, <float*>B, &b, <float*>A, &a, &beta, C, &c)


cdef inline void multiply(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, Py_ssize_t lda, const float* B,
                          float beta, float* C) noexcept nogil:
    multiply_part(M, N, K, A, lda, B, N, beta, C, N)


cdef inline void multiply_tn(Py_ssize_t M, Py_ssize_t N, Py_ssize_t K, const float* A, Py_ssize_t lda, const float* B,
                             float beta, float* C) noexcept nogil:
    cdef int m = <int>M, n = <int>N, k = <int>K, a = <int>lda
    cdef float one = 1.0
    sgemm(b"N", b"T", &n, &m, &k, &one, <float*>B, &n, <float*>A, &a, &beta, C, &n)
