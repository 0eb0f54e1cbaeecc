/* The GRU kinds. A block's vectors are n, r, u and, of gru, q, what the reset gate scales; u is the gate z of cells.py.
 *
 *   gru                 n = tanh(z_n + r q), q = b_hn + fed W_n^T        h_t = (1 - u) n + u h_(t-1)
 *   gru_reset_before    n = tanh(z_n + (r fed) W_n^T)                    likewise, once the product is there
 *
 * With d = what reaches h_t: dn = d (1-u) (1-n^2)   du = d (h_(t-1) - n) u(1-u), and d u goes on past the products.
 *
 *   gru                 dr = dn q r(1-r)                  dq = dn r
 *   gru_reset_before    dr = d_reset fed r(1-r)           d_reset r goes on past the products, d_reset = dn W_n
 */
#ifndef STREAMLSTM_TRAINING_GRU_H
#define STREAMLSTM_TRAINING_GRU_H

#include "block_steps.h"

ALWAYS void finish_gru(int rows, const block_step *t, ptrdiff_t row, vec (*z)[4])
{
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        v_sigmoids(&z[r][1], &z[r][2]);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        float *gates = t->gates + (row + r) * 4 * W;
        const ptrdiff_t offset = (row + r) * t->ld;
        const vec n = gru_new(z[r][1], z[r][3], z[r][0]);
        v_store(gates, n);
        v_store(gates + W, z[r][1]);
        v_store(gates + 2 * W, z[r][2]);
        v_store(gates + 3 * W, z[r][3] * v_set(-0.5f / LOG2_E)); /* the sum was an argument of 2^x */
        store_units(t->out + offset, gru_mix(z[r][2], n, load_units(t->h_prev + offset, t->units)), t->units);
    }
}

ALWAYS void finish_reset_before(int rows, const block_step *t, ptrdiff_t row, vec (*z)[4])
{
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        float *gates = t->gates + (row + r) * 3 * W;
        const ptrdiff_t offset = (row + r) * t->ld;
        v_sigmoids(&z[r][1], &z[r][2]);
#pragma GCC unroll 3
        for (int v = 0; v < 3; v++)
            v_store(gates + v * W, z[r][v]);
        store_units(t->reset + offset, z[r][1] * load_units(t->fed + offset, t->units), t->units);
    }
}

/* The rest of gru_reset_before, with the product of r fed: z_n becomes n in its place. */
static void finish_new(ptrdiff_t B, const float *product, ptrdiff_t ld_product, const block_step *t)
{
    for (ptrdiff_t b = 0; b < B; b++) {
        float *gates = t->gates + b * 3 * W;
        const vec n = v_tanh(v_fma(v_load(product + b * ld_product), v_set(-2 * LOG2_E), v_load(gates)));
        const vec h_prev = load_units(t->h_prev + b * t->ld, t->units);
        v_store(gates, n);
        store_units(t->out + b * t->ld, gru_mix(v_load(gates + 2 * W), n, h_prev), t->units);
    }
}

/* dn, du and what goes on past the products; of gru also dr and dq. */
ALWAYS void differentiate_mix(int is_before, const block_gradients *p)
{
    const int vectors = is_before ? 3 : 4;
    const vec one = v_set(1.0f);
    vec sums[4];
    for (int v = 0; v < vectors; v++)
        sums[v] = v_load(p->sum_bias + v * W);
    for (ptrdiff_t b = 0; b < p->B; b++) {
        const float *gates = p->gates + b * vectors * W;
        float *dz = p->dz + b * vectors * W;
        const vec n = v_load(gates), r = v_load(gates + W), u = v_load(gates + 2 * W);
        const vec d = load_units(p->d_y + b * p->ld, p->units) + load_units(p->d_h + b * p->ld, p->units) +
                      v_load(p->past + b * W);
        const vec d_n = d * (one - u) * (one - n * n);
        const vec d_u = d * (load_units(p->h_prev + b * p->ld, p->units) - n) * (u * (one - u));
        v_store(p->past + b * W, d * u);
        v_store(dz, d_n);
        v_store(dz + 2 * W, d_u);
        sums[0] = sums[0] + d_n;
        sums[2] = sums[2] + d_u;
        if (is_before) {
            v_store(p->d_new + b * p->ld_new, d_n);
        } else {
            const vec d_r = d_n * v_load(gates + 3 * W) * (r * (one - r)), d_q = d_n * r;
            v_store(dz + W, d_r);
            v_store(dz + 3 * W, d_q);
            sums[1] = sums[1] + d_r;
            sums[3] = sums[3] + d_q;
        }
    }
    for (int v = 0; v < vectors; v++)
        v_store(p->sum_bias + v * W, sums[v]);
}

/* The rest of gru_reset_before, d_reset given. */
static void differentiate_reset(const block_gradients *p)
{
    const vec one = v_set(1.0f);
    vec sum = v_load(p->sum_bias + W);
    for (ptrdiff_t b = 0; b < p->B; b++) {
        const vec r = v_load(p->gates + (b * 3 + 1) * W), d_reset = v_load(p->d_reset + b * p->ld_new);
        const vec d_r = d_reset * load_units(p->fed + b * p->ld, p->units) * (r * (one - r));
        vec d_fed = d_reset * r;
        if (p->mask)
            d_fed = d_fed * load_units(p->mask + b * p->ld, p->units);
        v_store(p->past + b * W, v_load(p->past + b * W) + d_fed);
        v_store(p->dz + (b * 3 + 1) * W, d_r);
        sum = sum + d_r;
    }
    v_store(p->sum_bias + W, sum);
}

#endif
