"""The C interface of the training kernels; see training.h."""

cdef extern from "training.h" nogil:
    ctypedef struct lstm_pass:
        Py_ssize_t T, B, inputs, H, R
        const float* w_ih
        const float* w_hh
        const float* bias
        const float* peephole
        const float* w_hr
        const float* mask
        const float* x
        float* gates
        float* c
        float* h
        float* fed
        float* unprojected
        const float* d_y
        float* d_h
        float* d_c
        float* d_x
        float* d_w_ih
        float* d_w_hh
        float* d_bias
        float* d_peephole
        float* d_w_hr
        float* scratch

    ctypedef struct training_path:
        Py_ssize_t width
        Py_ssize_t (*scratch)(const lstm_pass* p) noexcept nogil
        void (*forward)(const lstm_pass* p) noexcept nogil
        void (*backward)(const lstm_pass* p) noexcept nogil
