/* A register tile: a few rows of a product, all gates of some units, and the gates applied from the accumulators.
 *
 *   accumulators[r][u][a] = init[r][u][a] + sum_k x[r][k] w_x[u][k][g] + sum_k h[r][k] w_h[u][k][g]      k ascending
 *
 * Each sum has one order, whatever the tile: a row's bits do not depend on the rows beside it.
 */
#ifndef STREAMLSTM_TILE_H
#define STREAMLSTM_TILE_H

#include "fused.h"
#include "levels/gates.h"

/* Rows are `ld` floats apart; ld_init is 0 when all rows begin with the same bias. */
typedef struct {
    const float *init, *w_x, *w_h, *peephole;
    const float *x, *h, *h_old; /* h: what is multiplied with w_h; h_old: the state itself, which GRUs mix in */
    float *const *states;       /* by row: where c is, at cell_at, and where h goes besides out, at hidden_at */
    float *out;                 /* h, a product; or what the first pass of gru_reset_before leaves for the second: */
    float *update, *scaled;     /* n's sum in out, the update gate, r h */
    float *blas;                /* scratch of a path through BLAS */
    ptrdiff_t k_x, k_h, ld_init, ld_x, ld_h, ld_old, ld_out, hidden_at, cell_at; /* ld_old: of update and scaled too */
} tile;

/* States that will be wanted after this panel: fetched from memory line by line, beside the products. */
typedef struct {
    const fused_lane *lanes;
    ptrdiff_t count, hidden_at, cell_at, step; /* bytes: of the layer at hand in a state, and of a block */
} fetch;

/* What a tile computes: the cells, and the passes that are none. NEW is the second pass of gru_reset_before. The others
 * are products alone: of as many vectors of outputs, and of a layer's inputs, by the accumulators of its cell. */
enum { NEW = 16, RAW1, RAW2, RAW3, RAW4, INPUTS_1, INPUTS_3, INPUTS_4, INPUTS_GRU };

/* Whether a product is of pairs of bfloat16, summed in float32: those of the layers, where the path is of that kind. */
ALWAYS int is_paired(int kind)
{
#if defined(FUSED_BFLOAT16)
    return kind <= NEW || kind >= INPUTS_1;
#else
    (void)kind;
    return 0;
#endif
}

ALWAYS int accumulators_of(int kind)
{
    switch (kind) {
    case CELL_GRU_RESET_BEFORE: return 3;
    case CELL_RNN: case NEW: case RAW1: case INPUTS_1: return 1;
    case RAW2: return 2;
    case RAW3: case INPUTS_3: return 3;
    default: return 4;
    }
}
ALWAYS int x_gates_of(int kind) { return kind == CELL_GRU || kind == INPUTS_GRU ? 3 : kind == NEW ? 0 : accumulators_of(kind); }
ALWAYS int h_gates_of(int kind)
{
    return kind == CELL_GRU ? 3 : kind == CELL_GRU_RESET_BEFORE ? 2 : kind >= RAW1 ? 0 : accumulators_of(kind);
}

/* Apply the gates to the sums z [units * rows][4] of a tile; store what comes of it. */
ALWAYS void finish(int kind, const tile *t, int rows, int units, ptrdiff_t row, ptrdiff_t block, vec (*z)[4])
{
    const int count = accumulators_of(kind), mixes = kind == CELL_GRU || kind == CELL_GRU_RESET_BEFORE || kind == NEW;
    if (kind == CELL_LSTM || kind == CELL_PEEPHOLE) {
        float *c[TILE_ROWS];
#pragma GCC unroll 6
        for (int n = 0; n < rows * units; n++)
            c[n] = t->states[row + n % rows] + t->cell_at + (block + n / rows) * W;
        if (kind == CELL_LSTM)
            lstm_gates(rows * units, z, NULL, c);
        else
#pragma GCC unroll 4
            for (int u = 0; u < units; u++) {
                const float *p = t->peephole + 3 * (block + u) * W;
                const vec peephole[3] = {v_load(p), v_load(p + W), v_load(p + 2 * W)};
                lstm_gates(rows, z + u * rows, peephole, c + u * rows);
            }
    }
#pragma GCC unroll 6
    for (int n = 0; n < rows * units; n++) {
        const ptrdiff_t r = row + n % rows, unit = (block + n / rows) * W, offset = r * t->ld_old + unit;
        float *out = t->out + r * t->ld_out;
        const vec h_old = mixes ? v_load(t->h_old + offset) : v_set(0.0f);
        if (kind == CELL_GRU) {
            const vec fresh = gru_new(v_sigmoid(z[n][0]), z[n][3], z[n][2]);
            z[n][0] = gru_mix(v_sigmoid(z[n][1]), fresh, h_old);
        } else if (kind == CELL_GRU_RESET_BEFORE) {
            v_store(t->scaled + offset, v_sigmoid(z[n][0]) * h_old);
            v_store(t->update + offset, v_sigmoid(z[n][1]));
            v_store(out + unit, z[n][2]);
        } else if (kind == NEW) {
            z[n][0] = gru_mix(v_load(t->update + offset), v_tanh(z[n][0]), h_old);
        } else if (kind == CELL_RNN) {
            z[n][0] = v_tanh(z[n][0]);
        } else if (kind >= RAW1) {
            for (int a = 0; a < count; a++)
                v_store(out + unit * count + a * W, z[n][a]);
        }
        if (kind < RAW1 && kind != CELL_GRU_RESET_BEFORE) {
            v_store(out + unit, z[n][0]);
            if (t->hidden_at >= 0)
                v_store(t->states[r] + t->hidden_at + unit, z[n][0]);
        }
    }
}

/* The accumulator of a gate in the product with h: a GRU's n stays apart, for r multiplies it. */
ALWAYS int accumulator_of(int kind, int gate) { return kind == CELL_GRU && gate == 2 ? 3 : gate; }

ALWAYS void multiply_add(int kind, int rows, int units, int gates, int is_h, vec (*z)[4], const float *w,
                         ptrdiff_t inputs, const float *x, ptrdiff_t ld)
{
    const ptrdiff_t block = inputs * gates * W;
    for (ptrdiff_t k = 0; k < inputs; k++, w += gates * W) {
#pragma GCC unroll 4
        for (int u = 0; u < units; u++) {
            vec weights[4];
#pragma GCC unroll 4
            for (int g = 0; g < gates; g++)
                weights[g] = v_load(w + u * block + g * W);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                const vec value = v_set(x[r * ld + k]);
#pragma GCC unroll 4
                for (int g = 0; g < gates; g++) {
                    vec *sum = &z[u * rows + r][is_h ? accumulator_of(kind, g) : g];
                    *sum = is_paired(kind) ? v_dot_pairs(weights[g], value, *sum) : v_fma(weights[g], value, *sum);
                }
            }
        }
    }
}

ALWAYS void tile_run(int kind, int rows, int units, const tile *t, ptrdiff_t row, ptrdiff_t block)
{
    const int count = accumulators_of(kind), x_gates = x_gates_of(kind), h_gates = h_gates_of(kind);
    vec z[4 * TILE_ROWS][4]; /* [units][rows]; as many as the registers hold are used */
    if (t->ld_init) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int u = 0; u < units; u++)
#pragma GCC unroll 4
                for (int a = 0; a < count; a++)
                    z[u * rows + r][a] = v_load(t->init + (row + r) * t->ld_init + ((block + u) * count + a) * W);
    } else {
#pragma GCC unroll 4
        for (int u = 0; u < units; u++)
#pragma GCC unroll 4
            for (int a = 0; a < count; a++) {
                const vec bias = v_load(t->init + ((block + u) * count + a) * W);
#pragma GCC unroll 6
                for (int r = 0; r < rows; r++)
                    z[u * rows + r][a] = bias;
            }
    }
    if (x_gates)
        multiply_add(kind, rows, units, x_gates, 0, z, t->w_x + block * t->k_x * x_gates * W, t->k_x,
                     t->x + row * t->ld_x, t->ld_x);
    if (h_gates)
        multiply_add(kind, rows, units, h_gates, 1, z, t->w_h + block * t->k_h * h_gates * W, t->k_h,
                     t->h + row * t->ld_h, t->ld_h);
    finish(kind, t, rows, units, row, block, z);
}

#endif
