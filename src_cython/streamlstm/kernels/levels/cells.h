/* The recurrent cells, in the order of CellKind (cells.py says what they compute). */
#ifndef STREAMLSTM_CELLS_H
#define STREAMLSTM_CELLS_H

enum cell_kind { CELL_LSTM, CELL_PEEPHOLE, CELL_GRU, CELL_GRU_RESET_BEFORE, CELL_RNN };

#endif
