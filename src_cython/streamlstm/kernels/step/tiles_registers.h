/* All rows of a product in register tiles, each of the shape that the registers hold. */
#ifndef STREAMLSTM_TILES_REGISTERS_H
#define STREAMLSTM_TILES_REGISTERS_H

#include "tile.h"

enum {
    FEW = TILE_ROWS, /* streams below which a tile of x and h has idle rows */
    BLOCK_ROWS = 0,  /* rows of scratch, which only the path through BLAS has */
};

typedef void (*tile_function)(const tile *t, ptrdiff_t row, ptrdiff_t block);

#define DEFINE(KIND, ROWS, UNITS)                                                                                      \
    static __attribute__((noinline)) void tile_##KIND##_##ROWS##_##UNITS(const tile *t, ptrdiff_t row,                  \
                                                                        ptrdiff_t block)                               \
    {                                                                                                                  \
        if (ROWS * UNITS * accumulators_of(KIND) <= 4 * TILE_ROWS) /* what the registers hold; others are not called */ \
            tile_run(KIND, ROWS, UNITS, t, row, block);                                                                \
    }
#define DEFINE_ROWS(KIND, ROWS) DEFINE(KIND, ROWS, 1) DEFINE(KIND, ROWS, 2) DEFINE(KIND, ROWS, 4)
#define NAME_ROWS(KIND, ROWS) {tile_##KIND##_##ROWS##_1, tile_##KIND##_##ROWS##_2, tile_##KIND##_##ROWS##_4}
#if defined(__AVX512F__) || defined(__aarch64__)
#define DEFINE_KIND(KIND)                                                                                              \
    DEFINE_ROWS(KIND, 1) DEFINE_ROWS(KIND, 2) DEFINE_ROWS(KIND, 3)                                                      \
    DEFINE_ROWS(KIND, 4) DEFINE_ROWS(KIND, 5) DEFINE_ROWS(KIND, 6)                                                      \
    static const tile_function tiles_##KIND[TILE_ROWS][3] = {NAME_ROWS(KIND, 1), NAME_ROWS(KIND, 2),                   \
        NAME_ROWS(KIND, 3), NAME_ROWS(KIND, 4), NAME_ROWS(KIND, 5), NAME_ROWS(KIND, 6)};
#else
#define DEFINE_KIND(KIND)                                                                                              \
    DEFINE_ROWS(KIND, 1) DEFINE_ROWS(KIND, 2) DEFINE_ROWS(KIND, 3)                                                      \
    static const tile_function tiles_##KIND[TILE_ROWS][3] = {NAME_ROWS(KIND, 1), NAME_ROWS(KIND, 2),                   \
        NAME_ROWS(KIND, 3)};
#endif
DEFINE_KIND(CELL_LSTM)
DEFINE_KIND(CELL_PEEPHOLE)
DEFINE_KIND(CELL_GRU)
DEFINE_KIND(CELL_GRU_RESET_BEFORE)
DEFINE_KIND(CELL_RNN)
DEFINE_KIND(NEW)
DEFINE_KIND(RAW1)
DEFINE_KIND(RAW2)
DEFINE_KIND(RAW3)
DEFINE_KIND(RAW4)
DEFINE_KIND(INPUTS_1)
DEFINE_KIND(INPUTS_3)
DEFINE_KIND(INPUTS_4)
DEFINE_KIND(INPUTS_GRU)

static const tile_function (*tiles_of(int kind))[3]
{
    switch (kind) {
    case CELL_LSTM: return tiles_CELL_LSTM;
    case CELL_PEEPHOLE: return tiles_CELL_PEEPHOLE;
    case CELL_GRU: return tiles_CELL_GRU;
    case CELL_GRU_RESET_BEFORE: return tiles_CELL_GRU_RESET_BEFORE;
    case CELL_RNN: return tiles_CELL_RNN;
    case NEW: return tiles_NEW;
    case RAW1: return tiles_RAW1;
    case RAW2: return tiles_RAW2;
    case RAW3: return tiles_RAW3;
    case INPUTS_1: return tiles_INPUTS_1;
    case INPUTS_3: return tiles_INPUTS_3;
    case INPUTS_4: return tiles_INPUTS_4;
    case INPUTS_GRU: return tiles_INPUTS_GRU;
    default: return tiles_RAW4;
    }
}

static void run_tiles(int kind, const tile *t, ptrdiff_t rows, ptrdiff_t blocks, const fetch *next)
{
    const tile_function(*tiles)[3] = tiles_of(kind);
    const ptrdiff_t groups = (rows + TILE_ROWS - 1) / TILE_ROWS, most = (rows + groups - 1) / groups;
    const ptrdiff_t room = 4 * TILE_ROWS / (most * accumulators_of(kind));
    for (ptrdiff_t block = 0, units; block < blocks; block += units) {
        const ptrdiff_t left = blocks - block < room ? blocks - block : room;
        const int choice = left >= 4 ? 2 : left >= 2 ? 1 : 0;
        units = (ptrdiff_t)1 << choice;
        for (ptrdiff_t row = 0, group = groups, size; group > 0; group--, row += size) {
            size = (rows - row + group - 1) / group; /* as equal as can be: 8 rows are 4 and 4 */
            if (next)
                for (ptrdiff_t r = row; r < row + size && r < next->count; r++) {
                    const char *state = (const char *)next->lanes[r].state + block * next->step;
                    __builtin_prefetch(state + next->hidden_at, 1, 2);
                    __builtin_prefetch(state + next->cell_at, 1, 2);
                }
            tiles[size - 1][choice](t, row, block);
        }
    }
}

#endif
