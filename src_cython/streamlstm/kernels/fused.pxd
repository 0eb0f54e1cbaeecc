"""The C interface of the step; see step/fused.h."""

from streamlstm.kernels.cell_kinds cimport cell_kind

cdef extern from "step/fused.h" nogil:
    cdef enum:
        MAX_LAYERS
        PANEL

    ctypedef struct fused_product:
        Py_ssize_t inputs, outputs
        const float* w
        const float* bias
        int is_dot

    ctypedef struct fused_layer:
        cell_kind cell
        Py_ssize_t inputs, hidden, outputs
        const float* w_x
        const float* w_h
        const float* bias
        const float* peephole
        fused_product projection

    ctypedef struct fused_network:
        Py_ssize_t layers, row
        fused_layer* layer
        fused_product head
        double work

    ctypedef struct fused_lane:
        void* state
        const Py_ssize_t* samples
        Py_ssize_t count

    ctypedef struct fused_batch:
        const float* x
        const unsigned char* reset
        float* out
        float* errors
        int is_half

    ctypedef struct fused_path:
        Py_ssize_t width
        Py_ssize_t (*scratch)(const fused_network* network) noexcept nogil
        void (*run)(const fused_network* network, const fused_lane* lanes, Py_ssize_t count, const fused_lane* next,
                    Py_ssize_t next_count, const fused_batch* batch, float* scratch) noexcept nogil

    ctypedef void (*fused_sgemm_function)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*,
                                          float*, int*) noexcept nogil
    fused_sgemm_function fused_sgemm
