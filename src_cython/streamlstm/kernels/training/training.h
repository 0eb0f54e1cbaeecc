/* A layer of any cell over T steps, forward and backward, and AdamW, of one level of the instruction set.
 *
 * training.c and adamw.c are compiled once a level. Units stand in blocks of the level's vector width W (blocks.h),
 * those beyond the last are zero; what a pass keeps is laid out as its tiles read it:
 *
 *   gates  [T][blocks][B][kept][W]  activated: lstm i, f, g, o; gru n, r, u, q; gru_reset_before n, r, u; rnn none
 *   c      [T + 1][blocks][B][W]    c_(-1) .. c_(T-1), of the LSTM kinds; d_c [blocks][B][W]
 *   dz     [blocks][chunk * B][found][W]    of one chunk of steps, in the same order; q's is that of the product
 *
 * Whatever has R or I columns is a plain matrix, rows without a gap.
 */
#ifndef STREAMLSTM_TRAINING_H
#define STREAMLSTM_TRAINING_H

#include <stddef.h>

#include "levels/cells.h"

/* One layer. Weights are as CellWeights has them, G gates; a pointer that the cell or the pass has no use for is NULL. */
typedef struct {
    enum cell_kind cell;
    ptrdiff_t T, B, inputs, H, R; /* steps, lanes, I (a macro of C's), units, outputs */
    const float *w_ih;            /* [G * H, I] */
    const float *w_hh;            /* [G * H, R] */
    const float *bias;            /* [G * H] */
    const float *bias_hn;         /* [H] */
    const float *peephole;        /* [3, H] */
    const float *w_hr;            /* [R, H] */
    const float *mask;            /* [B, R] of the recurrent products */
    const float *x;               /* [T, B, I] */
    float *gates, *c;
    float *h;                     /* [T + 1, B, R]: h_(-1) .. h_(T-1) */
    float *fed;                   /* [T, B, R]: mask * h_(t-1); h itself where there is no mask */
    float *reset;                 /* [T, B, R]: r * fed, of gru_reset_before */
    float *unprojected;           /* [T, B, blocks * W]: o tanh(c), where there is a projection */
    const float *d_y;             /* [T, B, R]: from above */
    float *d_h;                   /* [B, R]: of the final state first, of the initial one in the end */
    float *d_c;                   /* likewise */
    float *d_x;                   /* [T, B, I], or NULL: not wanted */
    float *d_w_ih, *d_w_hh, *d_bias, *d_bias_hn, *d_peephole, *d_w_hr; /* shaped as the weights; written */
    float *scratch;
} layer_pass;

typedef struct {
    float beta1, beta2, decay, rate, correction, eps; /* decay: 1 - learning rate * weight decay */
} adamw_rates;

typedef struct {
    ptrdiff_t width; /* W */
    /* Vectors of gates that forward keeps of a block, `kept`. */
    int (*kept)(enum cell_kind cell);
    /* Floats of scratch that either pass needs; sizes and which weights there are decide. */
    ptrdiff_t (*scratch)(const layer_pass *pass);
    void (*forward)(const layer_pass *pass);
    void (*backward)(const layer_pass *pass);
    /* m = b1 m + (1 - b1) g    v = b2 v + (1 - b2) g^2    w = decay w - rate m / (correction sqrt(v) + eps) */
    void (*adamw)(ptrdiff_t n, float *w, const float *gradient, float *first, float *second, const adamw_rates *rates);
} training_path;

#endif
