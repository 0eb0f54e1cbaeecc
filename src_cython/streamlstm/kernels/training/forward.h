/* T steps forward: bias, x and h, then the gates, in tiles; what backward needs is kept. */
#ifndef STREAMLSTM_TRAINING_FORWARD_H
#define STREAMLSTM_TRAINING_FORWARD_H

#include "cell_tiles.h"
#include "layout.h"

static block_step step_of(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t, ptrdiff_t block)
{
    const ptrdiff_t offset = (t * l->blocks + block) * p->B * W, unit = block * l->span * W;
    const ptrdiff_t at = t * p->B * p->R + unit;
    block_step g = {
        .x = {.x = p->x + t * p->B * p->inputs, .w = a->w_x + block * W * p->inputs * l->x.count, .x_row = p->inputs,
              .depth = p->inputs},
        .h = {.x = p->fed + t * p->B * p->R, .w = a->w_h + block * W * p->R * l->h.count, .x_row = p->R, .depth = p->R},
        .bias = a->bias + block * W * l->found, .ld = p->R, .units = p->R - unit,
        .out = p->h + at + p->B * p->R, .h_prev = p->h + at, .fed = p->fed + at,
    };
    if (l->kept)
        g.gates = p->gates + offset * l->kept;
    if (p->c) {
        g.c_prev = p->c + offset;
        g.c = p->c + offset + p->B * l->wide;
    }
    if (p->peephole)
        g.peephole = a->peephole + block * W * 3;
    if (p->reset)
        g.reset = p->reset + at;
    if (p->w_hr) {
        g.out = p->unprojected + t * p->B * l->wide + unit;
        g.ld = l->wide;
        g.units = W;
    }
    return g;
}

static void forward_steps(const layer_pass *p, const cell_layout *l, const areas *a)
{
    const ptrdiff_t row_h = p->B * p->R;
    void (*const *tiles)(const block_step *, ptrdiff_t) =
        cell_tiles[p->cell == CELL_RNN ? TILE_RNN_1 + l->span - 1 : (int)p->cell];
    for (ptrdiff_t t = 0; t < p->T; t++) {
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->fed[t * row_h + n] = p->mask[n] * p->h[t * row_h + n];
        fetch_list next = {.count = 0};
        if (t + 1 < p->T)
            add_region(&next, p->x + (t + 1) * p->B * p->inputs, p->B * p->inputs);
        for (ptrdiff_t block = 0; block < l->blocks; block++) {
            block_step g = step_of(p, l, a, t, block);
            for (ptrdiff_t row = 0, size; row < p->B; row += size) {
                size = next_rows(p->B - row);
                fetch_beside(&next, &g.x, p->inputs);
                tiles[size - 1](&g, row);
            }
        }
        if (p->w_hr)
            multiply(p->B, (product){{.x = p->unprojected + t * p->B * l->wide, .w = a->aside, .x_row = l->wide,
                                      .depth = l->wide, .segments = 1}, .y = p->h + (t + 1) * row_h, .ld_y = p->R},
                     p->R, NULL);
        if (p->reset) {
            multiply(p->B, (product){{.x = p->reset + t * row_h, .w = a->aside, .x_row = p->R, .depth = p->R,
                                      .segments = 1}, .y = a->row, .ld_y = l->wide}, l->wide, NULL);
            for (ptrdiff_t block = 0; block < l->blocks; block++) {
                const block_step g = step_of(p, l, a, t, block);
                finish_new(p->B, a->row + block * W, l->wide, &g);
            }
        }
    }
}

static void forward(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    const ptrdiff_t lanes = l.blocks * W;
    areas a;
    divide_scratch(p, &l, p->scratch, &a);
    memset(a.w_x, 0, p->inputs * l.x.count * lanes * sizeof(float));
    memset(a.w_h, 0, p->R * l.h.count * lanes * sizeof(float));
    memset(a.bias, 0, l.found * lanes * sizeof(float));
    pack_gates(&l, &l.x, p->H, p->inputs, p->w_ih, a.w_x, 0, l.x.count);
    pack_gates(&l, &l.h, p->H, p->R, p->w_hh, a.w_h, 0, l.h.count);
    pack_gates(&l, &l.x, p->H, 1, p->bias, a.bias, 0, l.found);
    if (p->bias_hn)
        pack_gates(&l, &NEW_BIAS, p->H, 1, p->bias_hn, a.bias, 3, l.found);
    if (p->peephole) {
        memset(a.peephole, 0, 3 * lanes * sizeof(float));
        pack_gates(&l, &PEEPHOLES, p->H, 1, p->peephole, a.peephole, 0, 3);
    }
    if (p->w_hr)
        pack_rows(NULL, 1, l.wide, p->R, p->H, p->w_hr, 1, p->H, a.aside);
    if (p->reset)
        pack_rows(NULL, 1, p->R, p->H, p->R, new_weights(p), 1, p->R, a.aside);
    forward_steps(p, &l, &a);
}

#endif
