/* What the cells' parts of a step are handed: a block of units, all rows, forward and backward. */
#ifndef STREAMLSTM_TRAINING_BLOCK_STEPS_H
#define STREAMLSTM_TRAINING_BLOCK_STEPS_H

#include "levels/gates.h"
#include "products.h"

/* Matrices of R columns have rows `ld` apart, and begin at the block's first unit, of which there are `units`. */
typedef struct {
    operands x, h;
    const float *bias, *peephole; /* [found][W], [3][W] */
    ptrdiff_t ld, units;
    float *gates;                 /* [B][kept][W] */
    const float *c_prev;          /* [B][W] */
    float *c;
    float *out;                   /* rows ld apart: h, or o tanh(c) of the LSTM kinds */
    const float *h_prev, *fed;    /* rows ld apart, of the GRU kinds */
    float *reset;                 /* rows ld apart, of gru_reset_before: r fed */
} block_step;

typedef struct {
    ptrdiff_t B, ld, units;
    const float *gates, *c_prev, *c;
    const float *d_y, *d_h;         /* their sum is what reaches h_t, or m with a projection; d_h may be NULL */
    const float *peephole;          /* [3][W] or NULL */
    float *d_c;                     /* [B][W]: of c, and then of c_prev */
    float *dz;                      /* [B][found][W] */
    float *sum_bias, *sum_peephole; /* [found][W], [3][W] */
    const float *h, *h_prev, *fed;  /* rows ld apart */
    const float *mask;              /* of fed, or NULL */
    float *past;                    /* [B][W], of the GRU kinds: what reaches h_t, then h_(t-1), past the products */
    float *d_new;                   /* rows ld_new apart, of gru_reset_before: dn again */
    const float *d_reset;           /* rows ld_new apart: of r fed */
    ptrdiff_t ld_new;
} block_gradients;

/* Lanes beyond the last unit are zero, and are not written. */
ALWAYS vec load_units(const float *p, ptrdiff_t units)
{
    return units >= W ? v_load(p) : v_load_first(p, units > 0 ? units : 0);
}

ALWAYS void store_units(float *p, vec a, ptrdiff_t units)
{
    if (units >= W)
        v_store(p, a);
    else if (units > 0)
        v_store_first(p, a, units);
}

#endif
