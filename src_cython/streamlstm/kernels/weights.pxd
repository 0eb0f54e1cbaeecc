"""A recurrent stack and its head, packed for the step; immutable."""

from streamlstm.kernels.fused cimport fused_layer, fused_network, fused_path, fused_product


cdef class NetworkWeights:
    cdef readonly Py_ssize_t input_size, output_size, state_size, num_layers
    cdef readonly str isa, backend
    cdef readonly list segments    # of a state row: (offset, size) by layer h, then c; offsets in the padded row
    cdef fused_network network
    cdef const fused_path* path
    cdef list _arrays              # keeps the memory behind `network` alive

    cdef Py_ssize_t _padded(self, Py_ssize_t size)
    cdef const float* _keep(self, array) except NULL
    cdef _pack_layer(self, fused_layer* packed, layer)
    cdef _pack_product(self, fused_product* packed, weight, bias, may_dot)
