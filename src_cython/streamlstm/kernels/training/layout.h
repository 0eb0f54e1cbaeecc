/* What a pass over a layer has where: the order of each cell's gates in a block, its layout, and its scratch. */
#ifndef STREAMLSTM_TRAINING_LAYOUT_H
#define STREAMLSTM_TRAINING_LAYOUT_H

#include "blocks.h"
#include "levels/gates.h"
#include "levels/scratch.h"
#include "training.h"

/* Bytes of a chunk's dz: well within a second-level cache, beside the weights and their gradients. */
enum { CHUNK_BYTES = 128 * 1024, MOST_STEPS = 16 };

static const gate_order LSTM_ORDER = {4, {0, 1, 2, 3}, {-LOG2_E, -LOG2_E, -2 * LOG2_E, -LOG2_E}};
static const gate_order GRU_X = {3, {2, 0, 1}, {-LOG2_E, -LOG2_E, -2 * LOG2_E}}; /* n, r, u of r, u, n */
static const gate_order GRU_H = {3, {0, 1, 2}, {-LOG2_E, -LOG2_E, -2 * LOG2_E}}; /* r, u, q */
static const gate_order RESET_BEFORE_H = {2, {0, 1}, {-LOG2_E, -LOG2_E}};
static const gate_order RNN_ORDER = {4, {0, 0, 0, 0}, {-2 * LOG2_E}};
static const gate_order NEW_BIAS = {1, {0}, {-2 * LOG2_E}};
static const gate_order PEEPHOLES = {3, {0, 1, 2}, {-LOG2_E, -LOG2_E, -LOG2_E}};
static const gate_order PLAIN_PEEPHOLES = {3, {0, 1, 2}, {1, 1, 1}};

static int is_gru(const layer_pass *p) { return p->cell == CELL_GRU || p->cell == CELL_GRU_RESET_BEFORE; }

static int kept(enum cell_kind cell) { return cell == CELL_RNN ? 0 : cell == CELL_GRU_RESET_BEFORE ? 3 : 4; }

static cell_layout layout_of(const layer_pass *p)
{
    cell_layout l = {.span = 1, .kept = kept(p->cell), .found = kept(p->cell), .x = LSTM_ORDER, .h = LSTM_ORDER};
    const ptrdiff_t vectors = padded(p->H) / W, groups = (vectors + 3) / 4;
    if (is_gru(p)) {
        l.x = GRU_X;
        l.h = p->cell == CELL_GRU ? GRU_H : RESET_BEFORE_H;
        l.first_h = 1;
    } else if (p->cell == CELL_RNN) {
        l.x = l.h = RNN_ORDER;
        l.span = l.found = l.x.count = l.h.count = (int)((vectors + groups - 1) / groups); /* as equal as can be */
    }
    l.blocks = (vectors + l.span - 1) / l.span;
    l.wide = l.blocks * l.span * W;
    return l;
}

static ptrdiff_t chunk_steps(const layer_pass *p, const cell_layout *l)
{
    const ptrdiff_t steps = CHUNK_BYTES / (ptrdiff_t)(p->B * l->blocks * l->found * W * sizeof(float));
    return steps < 1 ? 1 : steps > MOST_STEPS ? MOST_STEPS : steps;
}

typedef struct {
    float *w_x, *w_h;             /* forward, scaled: [blocks][I][x.count][W], [blocks][R][h.count][W] */
    float *bias, *peephole;       /* [blocks][found][W], [blocks][3][W] */
    float *back_x, *back_h;       /* backward: packed for products of dz */
    float *aside;                 /* for products with W_hr^T or W_n^T, or with W_hr or W_n */
    float *dz;                    /* [blocks][chunk * B][found][W] */
    float *sum_x, *sum_h;         /* as w_x, w_h */
    float *sum_bias, *sum_peephole;
    float *past;                  /* [blocks][B][W], of the GRU kinds */
    float *d_out;                 /* [chunk * B, R] of h, where there is a projection; [chunk * B, wide] of n */
    float *row;                   /* [B, wide]: d_m of a projection; the product of r fed, then d_reset */
    float *sum_aside;             /* [wide / 4W][R][4][W]: of W_hr, or W_n */
} areas;

static ptrdiff_t divide_scratch(const layer_pass *p, const cell_layout *l, float *base, areas *a)
{
    const ptrdiff_t rows = chunk_steps(p, l) * p->B, lanes = l->blocks * W;
    const int is_before = p->cell == CELL_GRU_RESET_BEFORE;
    cut c = {base, 0};
    a->w_x = cut_off(&c, p->inputs * l->x.count * lanes);
    a->w_h = cut_off(&c, p->R * l->h.count * lanes);
    a->bias = cut_off(&c, l->found * lanes);
    a->peephole = cut_off(&c, 3 * lanes);
    a->back_x = cut_off(&c, padded(p->inputs) * l->x.count * lanes);
    a->back_h = cut_off(&c, padded(p->R) * l->h.count * lanes);
    a->dz = cut_off(&c, rows * l->found * lanes);
    a->sum_x = cut_off(&c, p->inputs * l->x.count * lanes);
    a->sum_h = cut_off(&c, p->R * l->h.count * lanes);
    a->sum_bias = cut_off(&c, l->found * lanes);
    a->sum_peephole = cut_off(&c, 3 * lanes);
    if (is_gru(p))
        a->past = cut_off(&c, p->B * lanes);
    if (p->w_hr || is_before) {
        a->aside = cut_off(&c, padded(p->R) * l->wide);
        a->d_out = cut_off(&c, rows * (is_before ? l->wide : p->R));
        a->row = cut_off(&c, p->B * l->wide);
        a->sum_aside = cut_off(&c, p->R * l->wide);
    }
    return c.used;
}

static ptrdiff_t scratch_size(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    areas a;
    return divide_scratch(p, &l, NULL, &a);
}

/* W_n of gru_reset_before, [H, R]: the last rows of W_hh. */
static const float *new_weights(const layer_pass *p) { return p->w_hh + 2 * p->H * p->R; }

#endif
