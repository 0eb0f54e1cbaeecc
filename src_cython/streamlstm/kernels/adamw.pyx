"""One update of AdamW over an array, in one pass."""

import numpy as np

from streamlstm.kernels.faces import check_array
from streamlstm.kernels.isa import isa
from streamlstm.kernels.isa cimport find_isa
from streamlstm.kernels.training cimport adamw_rates, training_path


def adamw_update(parameter, gradient, first, second, *, beta1, beta2, decay, rate, correction, eps):
    """Update a parameter and its moments in place.

    Shapes: all four float32 of one shape. m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2, then
    w = decay w - rate m / (correction sqrt(v) + eps), each operation rounded to float32: the same bits on every level.
    Raises: ShapeError before anything changes.
    """
    cdef const training_path* path = find_isa(isa()).training
    cdef adamw_rates rates
    cdef float[::1] w, m, v
    cdef const float[::1] g
    for name, array in (("parameter", parameter), ("gradient", gradient), ("first", first), ("second", second)):
        check_array(name, array, np.float32, parameter.shape)
    w, g, m, v = parameter.reshape(-1), gradient.reshape(-1), first.reshape(-1), second.reshape(-1)
    rates.beta1, rates.beta2, rates.decay = beta1, beta2, decay
    rates.rate, rates.correction, rates.eps = rate, correction, eps
    if len(w):
        with nogil:
            path.adamw(w.shape[0], &w[0], &g[0], &m[0], &v[0], &rates)
