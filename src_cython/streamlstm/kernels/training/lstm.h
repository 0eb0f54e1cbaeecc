/* The LSTM kinds: forward keeps i, f, g, o, which backward needs; tanh(c) is formed anew. */
#ifndef STREAMLSTM_TRAINING_LSTM_H
#define STREAMLSTM_TRAINING_LSTM_H

#include "block_steps.h"

ALWAYS void finish_lstm(int is_peephole, int rows, const block_step *t, ptrdiff_t row, vec (*z)[4])
{
    vec c[TILE_ROWS], p[3];
    if (is_peephole)
        for (int g = 0; g < 3; g++)
            p[g] = v_load(t->peephole + g * W);
    lstm_cells_kept(rows, z, is_peephole ? p : NULL, t->c_prev + row * W, c);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        float *gates = t->gates + (row + r) * 4 * W;
        const vec m = lstm_output_kept(&z[r][3], is_peephole ? p : NULL, c[r]);
#pragma GCC unroll 4
        for (int g = 0; g < 4; g++)
            v_store(gates + g * W, z[r][g]);
        v_store(t->c + (row + r) * W, c[r]);
        store_units(t->out + (row + r) * t->ld, m, t->units);
    }
}

/* do = d_m t o(1-o)   dc = d_c + d_m o (1 - t^2) [+ p_o do]   di = dc g i(1-i)   df = dc c_prev f(1-f)   dg = dc i (1-g^2)
 * d_c: dc f [+ p_i di + p_f df]   dp_i = sum di c_prev   dp_f = sum df c_prev   dp_o = sum do c       (t = tanh(c)) */
ALWAYS void differentiate_lstm_rows(int is_peephole, int is_whole, const block_gradients *p)
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
        const vec t = v_tanh(c * v_set(-2 * LOG2_E));
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

static void differentiate_lstm(const block_gradients *p)
{
    if (p->peephole)
        differentiate_lstm_rows(1, 0, p);
    else if (p->units == W)
        differentiate_lstm_rows(0, 1, p);
    else
        differentiate_lstm_rows(0, 0, p);
}

#endif
