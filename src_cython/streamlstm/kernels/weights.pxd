"""Weights of a stack of LSTM layers, packed for the kernels; immutable."""


cdef struct Layer:
    Py_ssize_t inputs
    const float* w_x    # [I, 4H]
    const float* w_h    # [H, 4H]
    const float* bias   # [4H]


cdef enum:
    MAX_LAYERS = 16


cdef class LstmWeights:
    cdef readonly Py_ssize_t input_size, hidden_size, num_layers
    cdef list _arrays              # keeps the memory behind `layers` alive
    cdef Layer[MAX_LAYERS] layers
