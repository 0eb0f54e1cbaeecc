/* T steps backward: dz and d_h step by step, the gradients of the weights and d_x once a chunk of steps. */
#ifndef STREAMLSTM_TRAINING_BACKWARD_H
#define STREAMLSTM_TRAINING_BACKWARD_H

#include "gru.h"
#include "layout.h"
#include "lstm.h"
#include "rnn.h"

/* dW [R, columns] of a plain matrix: the sums over a chunk's rows of x [rows, R] times w [rows, wide]. */
static void sum_aside(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t rows, const float *x,
                      const float *w)
{
    const ptrdiff_t vectors = l->wide / W;
    for (ptrdiff_t done = 0, count; done < vectors; done += count) {
        count = vectors - done < 4 ? vectors - done : 4;
        const operands of = {.x = x, .w = w + done * W, .x_k = p->R, .w_k = l->wide, .depth = rows, .segments = 1};
        add_outer(p->R, (int)count, (outer){of, a->sum_aside + done * W * p->R});
    }
}

/* What a chunk of `steps` steps from t on adds to the gradients of the weights, and its d_x. */
static void sum_chunk(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t, ptrdiff_t steps)
{
    const ptrdiff_t vector = l->found * W, segment = chunk_steps(p, l) * p->B * vector;
    const ptrdiff_t rows = steps * p->B, at = t * p->B;
    for (ptrdiff_t block = 0; block < l->blocks; block++) {
        operands of = {.w = a->dz + block * segment, .w_k = vector, .depth = rows, .segments = 1};
        of.x = p->x + at * p->inputs;
        of.x_k = p->inputs;
        add_outer(p->inputs, l->x.count, (outer){of, a->sum_x + block * W * p->inputs * l->x.count});
        of.w += l->first_h * W;
        of.x = p->fed + at * p->R;
        of.x_k = p->R;
        add_outer(p->R, l->h.count, (outer){of, a->sum_h + block * W * p->R * l->h.count});
    }
    if (p->d_x)
        multiply(rows, (product){{.x = a->dz, .w = a->back_x, .x_row = vector, .x_segment = segment,
                                  .depth = l->x.count * W, .segments = l->blocks},
                                 .y = p->d_x + at * p->inputs, .ld_y = p->inputs}, p->inputs, NULL);
    if (p->w_hr)
        sum_aside(p, l, a, rows, a->d_out, p->unprojected + at * l->wide);
    if (p->reset)
        sum_aside(p, l, a, rows, p->reset + at * p->R, a->d_out);
}

/* dz of step t, its gradients of the biases and peepholes, and what goes back past the products. */
static void differentiate(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t)
{
    const ptrdiff_t chunk = chunk_steps(p, l), in_chunk = t % chunk * p->B, row_h = p->B * p->R;
    const float *d_y = p->d_y + t * row_h;
    float *d_new = p->reset ? a->d_out + in_chunk * l->wide : NULL;
    if (p->w_hr) {
        float *d_out = a->d_out + in_chunk * p->R;
        for (ptrdiff_t n = 0; n < row_h; n++)
            d_out[n] = d_y[n] + p->d_h[n];
        multiply(p->B, (product){{.x = d_out, .w = a->aside, .x_row = p->R, .depth = p->R, .segments = 1},
                                 .y = a->row, .ld_y = l->wide}, l->wide, NULL);
    }
    for (int part = 0; part < (p->reset ? 2 : 1); part++) {
        if (part == 1)
            multiply(p->B, (product){{.x = d_new, .w = a->aside, .x_row = l->wide, .depth = p->H, .segments = 1},
                                     .y = a->row, .ld_y = l->wide}, l->wide, NULL);
        for (ptrdiff_t block = 0; block < l->blocks; block++) {
            const ptrdiff_t offset = (t * l->blocks + block) * p->B * W, unit = block * l->span * W;
            const ptrdiff_t at = t * row_h + unit;
            block_gradients g = {
                .B = p->B, .ld = p->R, .units = p->R - unit, .d_y = d_y + unit, .d_h = p->d_h + unit,
                .dz = a->dz + (block * chunk * p->B + in_chunk) * l->found * W,
                .sum_bias = a->sum_bias + block * W * l->found,
                .h = p->h + at + row_h, .h_prev = p->h + at, .fed = p->fed + at,
            };
            if (l->kept)
                g.gates = p->gates + offset * l->kept;
            if (p->c) {
                g.c_prev = p->c + offset;
                g.c = p->c + offset + p->B * l->wide;
                g.d_c = p->d_c + block * p->B * W;
            }
            if (p->peephole) {
                g.peephole = a->peephole + block * W * 3;
                g.sum_peephole = a->sum_peephole + block * W * 3;
            }
            if (p->w_hr) {
                g.d_y = a->row + unit;
                g.d_h = NULL;
                g.ld = l->wide;
                g.units = W;
            } else if (g.units > W && l->span == 1) {
                g.units = W;
            }
            if (is_gru(p))
                g.past = a->past + block * p->B * W;
            if (p->reset) {
                g.d_new = d_new + unit;
                g.d_reset = a->row + unit;
                g.ld_new = l->wide;
                g.mask = p->mask ? p->mask + unit : NULL;
            }
            if (part == 1)
                differentiate_reset(&g);
            else if (is_gru(p))
                differentiate_mix(p->reset != NULL, &g);
            else if (p->cell == CELL_RNN)
                differentiate_rnn(l->span, &g);
            else
                differentiate_lstm(&g);
        }
    }
}

/* What step t will read, which the products of step t + 1 have fetched. */
static fetch_list wanted_by(const layer_pass *p, const cell_layout *l, ptrdiff_t t)
{
    const ptrdiff_t row_h = p->B * p->R;
    fetch_list list = {.count = 0};
    if (t < 0)
        return list;
    if (l->kept)
        add_region(&list, p->gates + t * p->B * l->kept * l->wide, p->B * l->kept * l->wide);
    if (p->c)
        add_region(&list, p->c + t * p->B * l->wide, p->B * l->wide);
    add_region(&list, p->d_y + t * row_h, row_h);
    add_region(&list, p->fed + t * row_h, row_h);
    add_region(&list, p->x + t * p->B * p->inputs, p->B * p->inputs);
    if (p->mask && !p->c)
        add_region(&list, p->h + t * row_h, row_h);
    if (p->reset)
        add_region(&list, p->reset + t * row_h, row_h);
    return list;
}

static void backward_steps(const layer_pass *p, const cell_layout *l, const areas *a)
{
    const ptrdiff_t chunk = chunk_steps(p, l), segment = chunk * p->B * l->found * W, row_h = p->B * p->R;
    ptrdiff_t last = p->T; /* the end of the chunk at hand */
    for (ptrdiff_t t = p->T - 1; t >= 0; t--) {
        differentiate(p, l, a, t);
        fetch_list next = wanted_by(p, l, t - 1);
        multiply(p->B, (product){{.x = a->dz + (t % chunk * p->B * l->found + l->first_h) * W, .w = a->back_h,
                                  .x_row = l->found * W, .x_segment = segment, .depth = l->h.count * W,
                                  .segments = l->blocks}, .y = p->d_h, .ld_y = p->R}, p->R, &next);
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->d_h[n] *= p->mask[n];
        if (t % chunk == 0) {
            sum_chunk(p, l, a, t, last - t);
            last = t;
        }
    }
    if (is_gru(p))
        for (ptrdiff_t b = 0; b < p->B; b++)
            for (ptrdiff_t unit = 0; unit < p->H; unit++)
                p->d_h[b * p->R + unit] += a->past[(unit / W * p->B + b) * W + unit % W];
}

static void backward(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    const ptrdiff_t lanes = l.blocks * W;
    areas a;
    divide_scratch(p, &l, p->scratch, &a);
    pack_rows(&l.x, l.span, l.x.count * lanes, p->inputs, p->H, p->w_ih, p->inputs, 1, a.back_x);
    pack_rows(&l.h, l.span, l.h.count * lanes, p->R, p->H, p->w_hh, p->R, 1, a.back_h);
    memset(a.sum_x, 0, p->inputs * l.x.count * lanes * sizeof(float));
    memset(a.sum_h, 0, p->R * l.h.count * lanes * sizeof(float));
    memset(a.sum_bias, 0, l.found * lanes * sizeof(float));
    memset(a.sum_peephole, 0, 3 * lanes * sizeof(float));
    if (is_gru(p))
        memset(a.past, 0, p->B * lanes * sizeof(float));
    if (p->peephole) {
        memset(a.peephole, 0, 3 * lanes * sizeof(float));
        pack_gates(&l, &PLAIN_PEEPHOLES, p->H, 1, p->peephole, a.peephole, 0, 3);
    }
    if (p->w_hr || p->reset) {
        pack_rows(NULL, 1, p->R, p->H, p->R, p->w_hr ? p->w_hr : new_weights(p), p->H, 1, a.aside);
        memset(a.sum_aside, 0, p->R * l.wide * sizeof(float));
    }
    backward_steps(p, &l, &a);
    unpack_gates(&l, &l.x, p->H, p->inputs, a.sum_x, 0, l.x.count, p->d_w_ih);
    unpack_gates(&l, &l.h, p->H, p->R, a.sum_h, 0, l.h.count, p->d_w_hh);
    unpack_gates(&l, &l.x, p->H, 1, a.sum_bias, 0, l.found, p->d_bias);
    if (p->bias_hn)
        unpack_gates(&l, &NEW_BIAS, p->H, 1, a.sum_bias, 3, l.found, p->d_bias_hn);
    if (p->peephole)
        unpack_gates(&l, &PEEPHOLES, p->H, 1, a.sum_peephole, 0, 3, p->d_peephole);
    if (p->w_hr)
        unpack_sums(p->R, p->H, a.sum_aside, p->d_w_hr, p->H, 1);
    if (p->reset)
        unpack_sums(p->R, p->H, a.sum_aside, p->d_w_hh + 2 * p->H * p->R, 1, p->R);
}

#endif
