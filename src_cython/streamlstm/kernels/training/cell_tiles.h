/* Register tiles of a step forward: some rows times a block, from the bias through x and h to the gates. */
#ifndef STREAMLSTM_TRAINING_CELL_TILES_H
#define STREAMLSTM_TRAINING_CELL_TILES_H

#include "gru.h"
#include "lstm.h"
#include "rnn.h"

/* The cells in the order of cell_kind, the plain RNN by the vectors of its blocks. */
enum { TILE_LSTM, TILE_PEEPHOLE, TILE_GRU, TILE_RESET_BEFORE, TILE_RNN_1, TILE_RNN_2, TILE_RNN_3, TILE_RNN_4, TILES };

ALWAYS void cell_tile_run(int kind, int rows, const block_step *t, ptrdiff_t row)
{
    const int is_lstm = kind <= TILE_PEEPHOLE, is_gru = kind == TILE_GRU || kind == TILE_RESET_BEFORE;
    const int span = kind - TILE_RNN_1 + 1, vectors = is_lstm || kind == TILE_GRU ? 4 : is_gru ? 3 : span;
    const int count_x = is_gru ? 3 : vectors, first_h = is_gru ? 1 : 0, count_h = vectors - first_h;
    vec z[TILE_ROWS][4];
    operands x = t->x, h = t->h;
    for (int r = 0; r < rows; r++) { /* where results go: the lines come while the products are formed */
        if (kind < TILE_RNN_1)
            for (int line = 0; line < vectors * W; line += 16)
                __builtin_prefetch(t->gates + (row + r) * vectors * W + line, 1, 3);
        if (is_lstm)
            __builtin_prefetch(t->c + (row + r) * W, 1, 3);
        __builtin_prefetch(t->out + (row + r) * t->ld, 1, 3);
    }
    x.x += row * x.x_row;
    h.x += row * h.x_row;
    x.x_k = h.x_k = x.segments = h.segments = 1;
    x.w_k = count_x * W;
    h.w_k = count_h * W;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        const vec bias = v_load(t->bias + v * W);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            z[r][v] = bias;
    }
    add_products(1, rows, 0, count_x, z, x);
    add_products(0, rows, first_h, count_h, z, h);
    if (is_lstm)
        finish_lstm(kind == TILE_PEEPHOLE, rows, t, row, z);
    else if (kind == TILE_GRU)
        finish_gru(rows, t, row, z);
    else if (kind == TILE_RESET_BEFORE)
        finish_reset_before(rows, t, row, z);
    else
        finish_rnn(span, rows, t, row, z);
}

#define DEFINE_CELL(KIND, ROWS)                                                                                        \
    static __attribute__((noinline)) void KIND##_##ROWS(const block_step *t, ptrdiff_t row)                            \
    {                                                                                                                  \
        if (ROWS <= TILE_ROWS) /* others are not called */                                                             \
            cell_tile_run(KIND, ROWS, t, row);                                                                         \
    }
#define DEFINE_CELLS(KIND)                                                                                             \
    DEFINE_CELL(KIND, 1) DEFINE_CELL(KIND, 2) DEFINE_CELL(KIND, 3)                                                     \
    DEFINE_CELL(KIND, 4) DEFINE_CELL(KIND, 5) DEFINE_CELL(KIND, 6)
#define NAME_CELLS(KIND) [KIND] = {KIND##_1, KIND##_2, KIND##_3, KIND##_4, KIND##_5, KIND##_6}
DEFINE_CELLS(TILE_LSTM)
DEFINE_CELLS(TILE_PEEPHOLE)
DEFINE_CELLS(TILE_GRU)
DEFINE_CELLS(TILE_RESET_BEFORE)
DEFINE_CELLS(TILE_RNN_1)
DEFINE_CELLS(TILE_RNN_2)
DEFINE_CELLS(TILE_RNN_3)
DEFINE_CELLS(TILE_RNN_4)
static void (*const cell_tiles[TILES][6])(const block_step *, ptrdiff_t) = {
    NAME_CELLS(TILE_LSTM),  NAME_CELLS(TILE_PEEPHOLE), NAME_CELLS(TILE_GRU),   NAME_CELLS(TILE_RESET_BEFORE),
    NAME_CELLS(TILE_RNN_1), NAME_CELLS(TILE_RNN_2),    NAME_CELLS(TILE_RNN_3), NAME_CELLS(TILE_RNN_4)};

#endif
