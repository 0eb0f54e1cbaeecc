/* The gates of the LSTM kinds for training, W units of several rows at a time: forward keeps what backward needs.
 *
 * Sums are arguments of 2^x: weights are packed with -log2(e), or -2 log2(e) for g.
 */
#ifndef STREAMLSTM_TRAINING_GATES_H
#define STREAMLSTM_TRAINING_GATES_H

#include "training_tile.h"

#define LOG2_E 1.44269504f

/* A block of units of one step, all rows: the operands of its products, and where its gates go. */
typedef struct {
    operands x, h;
    const float *bias, *peephole; /* [4][W], [3][W] or NULL */
    ptrdiff_t B, ld_m, units;     /* units: of W, which are written to m */
    float *gates;                 /* [B][4][W] */
    const float *c_prev;          /* [B][W] */
    float *c;
    float *m;                     /* o tanh(c), rows ld_m apart */
} gate_tile;

/* i, f, o = 1 / (1 + e)   g = (1 - eg) / (1 + eg)   c = f c_prev + i g   m = o tanh(c), the divisions by 1 + e taken
 * together. Pass by pass over the rows, whose operations do not wait for each other. */
ALWAYS void gate_tile_run(int rows, const gate_tile *t, ptrdiff_t row)
{
    const vec one = v_set(1.0f);
    vec z[TILE_ROWS][4], c[TILE_ROWS];
    operands x = t->x, h = t->h;
    for (int r = 0; r < rows; r++) { /* where results go: the lines come while the products are formed */
        for (int line = 0; line < 4 * W; line += 16)
            __builtin_prefetch(t->gates + (row + r) * 4 * W + line, 1, 3);
        __builtin_prefetch(t->c + (row + r) * W, 1, 3);
        __builtin_prefetch(t->m + (row + r) * t->ld_m, 1, 3);
    }
    x.x += row * x.x_row;
    h.x += row * h.x_row;
    x.x_k = h.x_k = x.segments = h.segments = 1;
    x.w_k = h.w_k = 4 * W;
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) {
        const vec bias = v_load(t->bias + g * W);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
            z[r][g] = bias;
    }
    add_products(1, rows, 4, z, x);
    add_products(0, rows, 4, z, h);
    const vec p_i = t->peephole ? v_load(t->peephole) : one, p_f = t->peephole ? v_load(t->peephole + W) : one;
    const vec p_o = t->peephole ? v_load(t->peephole + 2 * W) : one;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        const vec old = v_load(t->c_prev + (row + r) * W);
        const vec i = one + v_exp2(t->peephole ? v_fma(p_i, old, z[r][0]) : z[r][0]);
        const vec f = one + v_exp2(t->peephole ? v_fma(p_f, old, z[r][1]) : z[r][1]);
        const vec eg = v_exp2(z[r][2]), g = one + eg, i_f = i * f, all = one / (i_f * g);
        z[r][0] = all * (f * g);
        z[r][1] = all * (i * g);
        z[r][2] = all * (i_f * (one - eg));
        c[r] = v_fma(z[r][1], old, z[r][0] * z[r][2]);
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        const vec o = one + v_exp2(t->peephole ? v_fma(p_o, c[r], z[r][3]) : z[r][3]);
        const vec ec = v_exp2(c[r] * v_set(-2 * LOG2_E)), tanh_c = one + ec, both = one / (o * tanh_c);
        float *gates = t->gates + (row + r) * 4 * W, *m = t->m + (row + r) * t->ld_m;
        z[r][3] = both * tanh_c;
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++)
            v_store(gates + g * W, z[r][g]);
        v_store(t->c + (row + r) * W, c[r]);
        if (t->units == W)
            v_store(m, both * (one - ec));
        else
            v_store_first(m, both * (one - ec), t->units);
    }
}

#define DEFINE_GATES(ROWS)                                                                                             \
    static __attribute__((noinline)) void gate_tile_##ROWS(const gate_tile *t, ptrdiff_t row)                           \
    {                                                                                                                  \
        if (ROWS <= TILE_ROWS) /* others are not called */                                                             \
            gate_tile_run(ROWS, t, row);                                                                               \
    }
DEFINE_GATES(1) DEFINE_GATES(2) DEFINE_GATES(3) DEFINE_GATES(4) DEFINE_GATES(5) DEFINE_GATES(6)
static void (*const gate_tiles[6])(const gate_tile *, ptrdiff_t) = {gate_tile_1, gate_tile_2, gate_tile_3,
                                                                    gate_tile_4, gate_tile_5, gate_tile_6};

/* The same block backward. */
typedef struct {
    ptrdiff_t B, ld, units;       /* rows of d_y and d_h are ld apart, `units` of W are read */
    const float *gates, *c_prev, *c;
    const float *d_y, *d_h;       /* d_m is their sum; d_h may be NULL */
    const float *peephole;        /* [3][W] or NULL */
    float *d_c;                   /* [B][W]: of c, and then of c_prev */
    float *dz;                    /* [B][4][W] */
    float *sum_bias, *sum_peephole; /* [4][W], [3][W] */
} gate_gradients;

/* do = d_m t o(1-o)   dc = d_c + d_m o (1 - t^2) [+ p_o do]   di = dc g i(1-i)   df = dc c_prev f(1-f)   dg = dc i (1-g^2)
 * d_c: dc f [+ p_i di + p_f df]   dp_i = sum di c_prev   dp_f = sum df c_prev   dp_o = sum do c       (t = tanh(c)) */
ALWAYS void differentiate_rows(int is_peephole, int is_whole, const gate_gradients *p)
{
    const vec one = v_set(1.0f);
    vec sums[4], peephole[3], sum_peephole[3];
    for (int g = 0; g < 4; g++)
        sums[g] = v_load(p->sum_bias + g * W);
    if (is_peephole)
        for (int g = 0; g < 3; g++) {
            peephole[g] = v_load(p->peephole + g * W);
            sum_peephole[g] = v_load(p->sum_peephole + g * W);
        }
    for (ptrdiff_t b = 0; b < p->B; b++) {
        const float *gates = p->gates + b * 4 * W;
        const vec i = v_load(gates), f = v_load(gates + W), g = v_load(gates + 2 * W), o = v_load(gates + 3 * W);
        const vec c_prev = v_load(p->c_prev + b * W), c = v_load(p->c + b * W);
        const vec e = v_exp2(c * v_set(-2 * LOG2_E)), t = (one - e) / (one + e);
        vec d_m = is_whole ? v_load(p->d_y + b * p->ld) : v_load_first(p->d_y + b * p->ld, p->units);
        if (p->d_h)
            d_m = d_m + (is_whole ? v_load(p->d_h + b * p->ld) : v_load_first(p->d_h + b * p->ld, p->units));
        const vec d_o = d_m * t * (o * (one - o));
        vec d_c = v_load(p->d_c + b * W) + d_m * o * (one - t * t);
        if (is_peephole)
            d_c = d_c + peephole[2] * d_o;
        const vec dz[4] = {d_c * g * (i * (one - i)), d_c * c_prev * (f * (one - f)), d_c * i * (one - g * g), d_o};
        vec d_old = d_c * f;
        if (is_peephole) {
            d_old = d_old + peephole[0] * dz[0] + peephole[1] * dz[1];
            sum_peephole[0] = sum_peephole[0] + dz[0] * c_prev;
            sum_peephole[1] = sum_peephole[1] + dz[1] * c_prev;
            sum_peephole[2] = sum_peephole[2] + d_o * c;
        }
        v_store(p->d_c + b * W, d_old);
        for (int gate = 0; gate < 4; gate++) {
            v_store(p->dz + (b * 4 + gate) * W, dz[gate]);
            sums[gate] = sums[gate] + dz[gate];
        }
    }
    for (int g = 0; g < 4; g++)
        v_store(p->sum_bias + g * W, sums[g]);
    if (is_peephole)
        for (int g = 0; g < 3; g++)
            v_store(p->sum_peephole + g * W, sum_peephole[g]);
}

static void differentiate_gates(const gate_gradients *p)
{
    if (p->peephole)
        differentiate_rows(1, 0, p);
    else if (p->units == W)
        differentiate_rows(0, 1, p);
    else
        differentiate_rows(0, 0, p);
}

#endif
