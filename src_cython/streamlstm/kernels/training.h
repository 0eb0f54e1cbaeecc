/* The LSTM kinds over T steps, forward and backward, of one level of the instruction set.
 *
 * training.c is compiled once a level, as fused.c is. Units stand in blocks of the level's vector width W, those beyond
 * the last are zero; what a pass keeps is laid out as its tiles read it:
 *
 *   gates  [T][blocks][B][4][W]     activated i, f, g, o        dz     [blocks][chunk * B][4][W]    of one chunk of steps
 *   c      [T + 1][blocks][B][W]    c_(-1) .. c_(T-1)           d_c    [blocks][B][W]
 *
 * Whatever has R or I columns is a plain matrix, rows without a gap.
 */
#ifndef STREAMLSTM_TRAINING_H
#define STREAMLSTM_TRAINING_H

#include <stddef.h>

/* One layer. Weights are as CellWeights has them; a pointer that the cell or the pass has no use for is NULL. */
typedef struct {
    ptrdiff_t T, B, inputs, H, R; /* steps, lanes, I (a macro of C's), units, outputs */
    const float *w_ih;            /* [4H, I] */
    const float *w_hh;            /* [4H, R] */
    const float *bias;            /* [4H] */
    const float *peephole;        /* [3, H] */
    const float *w_hr;            /* [R, H] */
    const float *mask;            /* [B, R] of the recurrent products */
    const float *x;               /* [T, B, I] */
    float *gates, *c;
    float *h;                     /* [T + 1, B, R]: h_(-1) .. h_(T-1) */
    float *fed;                   /* [T, B, R]: mask * h_(t-1); h itself where there is no mask */
    float *unprojected;           /* [T, B, blocks * W]: o tanh(c), where there is a projection */
    const float *d_y;             /* [T, B, R]: from above */
    float *d_h;                   /* [B, R]: of the final state first, of the initial one in the end */
    float *d_c;                   /* likewise */
    float *d_x;                   /* [T, B, I], or NULL: not wanted */
    float *d_w_ih, *d_w_hh, *d_bias, *d_peephole, *d_w_hr; /* shaped as the weights; written */
    float *scratch;
} lstm_pass;

/* Sums over time are taken once a chunk of steps. */
typedef struct {
    ptrdiff_t width; /* W */
    /* Floats of scratch that either pass needs; sizes and which weights there are decide. */
    ptrdiff_t (*scratch)(const lstm_pass *pass);
    void (*forward)(const lstm_pass *pass);
    void (*backward)(const lstm_pass *pass);
} training_path;

#endif
