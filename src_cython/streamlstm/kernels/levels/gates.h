/* The gates' formulas, forward, for the step and for training: the only place where a sum becomes a gate.
 *
 * Sums are arguments of 2^x: weights are packed with -log2(e) for sigmoids, and -2 log2(e) for tanh.
 */
#ifndef STREAMLSTM_GATES_H
#define STREAMLSTM_GATES_H

#include "vector.h"

#define LOG2_E 1.44269504f

ALWAYS vec v_sigmoid(vec scaled) { return v_set(1.0f) / (v_set(1.0f) + v_exp2(scaled)); }

/* Two sums become sigmoids, with one division for both. */
ALWAYS void v_sigmoids(vec *a, vec *b)
{
    const vec one = v_set(1.0f), by_a = one + v_exp2(*a), by_b = one + v_exp2(*b), both = one / (by_a * by_b);
    *a = both * by_b;
    *b = both * by_a;
}

ALWAYS vec v_tanh(vec scaled)
{
    const vec e = v_exp2(scaled);
    return (v_set(1.0f) - e) / (v_set(1.0f) + e);
}

/* ---- the LSTM kinds: `count` vectors of units; peephole [3], or NULL ----
 *
 * The step wants c and h alone, training the gates too: two forms of one formula, each with as few divisions as it can
 * have. Pass by pass over all vectors, not one after the other: the operations of one wait for each other, those of
 * others do not, and a processor looks ahead by one or two only. */

/* Sums z [count][4] become h, in z[n][0]; c[n] [W] in place. */
ALWAYS void lstm_gates(int count, vec (*z)[4], const vec *peephole, float *const *c)
{
    const vec one = v_set(1.0f);
#pragma GCC unroll 6
    for (int n = 0; n < count; n++) { /* c / (1 + ef) + (1 - eg) / ((1 + ei) (1 + eg)), with one division */
        vec old = v_load(c[n]);
        vec ei = v_exp2(peephole ? v_fma(peephole[0], old, z[n][0]) : z[n][0]);
        vec ef = v_exp2(peephole ? v_fma(peephole[1], old, z[n][1]) : z[n][1]);
        vec eg = v_exp2(z[n][2]);
        vec f = one + ef, ig = (one + ei) * (one + eg);
        z[n][0] = v_fma(old, ig, (one - eg) * f);
        z[n][1] = ig * f;
    }
#pragma GCC unroll 6
    for (int n = 0; n < count; n++) {
        z[n][2] = z[n][0] / z[n][1];
        v_store(c[n], z[n][2]);
    }
#pragma GCC unroll 6
    for (int n = 0; n < count; n++) {
        vec eo = v_exp2(peephole ? v_fma(peephole[2], z[n][2], z[n][3]) : z[n][3]);
        vec ec = v_exp2(z[n][2] * v_set(-2 * LOG2_E));
        z[n][0] = one - ec;
        z[n][1] = (one + eo) * (one + ec);
    }
#pragma GCC unroll 6
    for (int n = 0; n < count; n++)
        z[n][0] = z[n][0] / z[n][1];
}

/* The same for training. Sums z [count][4] become i, f, g in the first three; c [count] is made of c_prev [count][W].
 * i, f, o = 1 / (1 + e)   g = (1 - eg) / (1 + eg), the divisions by 1 + e taken together. */
ALWAYS void lstm_cells_kept(int count, vec (*z)[4], const vec *peephole, const float *c_prev, vec *c)
{
    const vec one = v_set(1.0f);
#pragma GCC unroll 6
    for (int n = 0; n < count; n++) {
        const vec old = v_load(c_prev + n * W);
        const vec i = one + v_exp2(peephole ? v_fma(peephole[0], old, z[n][0]) : z[n][0]);
        const vec f = one + v_exp2(peephole ? v_fma(peephole[1], old, z[n][1]) : z[n][1]);
        const vec eg = v_exp2(z[n][2]), g = one + eg, i_f = i * f, all = one / (i_f * g);
        z[n][0] = all * (f * g);
        z[n][1] = all * (i * g);
        z[n][2] = all * (i_f * (one - eg));
        c[n] = v_fma(z[n][1], old, z[n][0] * z[n][2]);
    }
}

/* The sum z_o becomes o; returns o tanh(c). */
ALWAYS vec lstm_output_kept(vec *z_o, const vec *peephole, vec c)
{
    const vec one = v_set(1.0f), o = one + v_exp2(peephole ? v_fma(peephole[2], c, *z_o) : *z_o);
    const vec ec = v_exp2(c * v_set(-2 * LOG2_E)), tanh_c = one + ec, both = one / (o * tanh_c);
    *z_o = both * tanh_c;
    return both * (one - ec);
}

/* ---- the GRU kinds; u is the gate z of cells.py ---- */

/* gru:  n = tanh(z_n + r q), q being what the reset gate scales */
ALWAYS vec gru_new(vec r, vec q, vec z_n) { return v_tanh(v_fma(r, q, z_n)); }

/* h = (1 - u) n + u h_prev */
ALWAYS vec gru_mix(vec u, vec n, vec h_prev) { return v_fma(u, h_prev - n, n); }

#endif
