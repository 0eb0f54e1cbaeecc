"""The C interface of the training kernels; see training/training.h."""

from streamlstm.kernels.cell_kinds cimport cell_kind

cdef extern from "training/training.h" nogil:
    ctypedef struct layer_pass:
        cell_kind cell
        Py_ssize_t T, B, inputs, H, R
        const float* w_ih
        const float* w_hh
        const float* bias
        const float* bias_hn
        const float* peephole
        const float* w_hr
        const float* mask
        const float* x
        float* gates
        float* c
        float* h
        float* fed
        float* reset
        float* unprojected
        const float* d_y
        float* d_h
        float* d_c
        float* d_x
        float* d_w_ih
        float* d_w_hh
        float* d_bias
        float* d_bias_hn
        float* d_peephole
        float* d_w_hr
        float* scratch

    ctypedef struct adamw_rates:
        float beta1, beta2, decay, rate, correction, eps

    ctypedef struct training_path:
        Py_ssize_t width
        int (*kept)(cell_kind cell) noexcept nogil
        Py_ssize_t (*scratch)(const layer_pass* p) noexcept nogil
        void (*forward)(const layer_pass* p) noexcept nogil
        void (*backward)(const layer_pass* p) noexcept nogil
        void (*adamw)(Py_ssize_t n, float* w, const float* gradient, float* first, float* second,
                      const adamw_rates* rates) noexcept nogil
