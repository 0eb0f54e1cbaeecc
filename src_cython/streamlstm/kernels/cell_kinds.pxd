"""The cells by their numbers in C; see cells.h."""

cdef extern from "levels/cells.h":
    cdef enum cell_kind:
        CELL_LSTM
        CELL_PEEPHOLE
        CELL_GRU
        CELL_GRU_RESET_BEFORE
        CELL_RNN


cdef inline cell_kind number_of(kind) except *:
    """Return a CellKind's number."""
    if kind == "lstm":
        return CELL_LSTM
    if kind == "peephole":
        return CELL_PEEPHOLE
    if kind == "gru":
        return CELL_GRU
    if kind == "gru_reset_before":
        return CELL_GRU_RESET_BEFORE
    if kind == "rnn":
        return CELL_RNN
    raise ValueError(f"no cell {kind!r}")
