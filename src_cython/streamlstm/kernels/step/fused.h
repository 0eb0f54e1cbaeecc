/* The fused step: products, gates and head of a recurrent stack, for panels of streams.
 *
 * fused.c is compiled twice a level of the instruction set, into a `fused_path` of register tiles and one through BLAS,
 * and once more on x86-64-v4, into one of products of bfloat16; dispatch.c knows which of them the processor has. Weights
 * are packed for a level's vector width W, in blocks of W units; what is beyond the last unit is zero, and stays zero in
 * every state:
 *
 *   w_x, w_h  [blocks][inputs][gates][W]     bias [blocks][accumulators][W]     peephole [blocks][3][W]
 *
 * The sigmoid gates' weights and biases are multiplied by -log2(e), those of tanh by -2 log2(e): the sums are then the
 * arguments of 2^x. A plain product's outputs are packed as blocks of up to four vectors, [blocks][inputs][4][W], the
 * last one of as many as are left. The path of bfloat16 has pairs of inputs in the place of inputs, two halves of a
 * float each; what it multiplies is rounded, sums, gates and states are float32.
 */
#ifndef STREAMLSTM_FUSED_H
#define STREAMLSTM_FUSED_H

#include <stddef.h>
#include <stdint.h>

#include "levels/cells.h"

enum {
    MAX_LAYERS = 16,
    PANEL = 48, /* streams taken through all layers at once: their rows stay in the second-level cache */
};

/* A product y [O] = x [K] w + bias, O outputs. */
typedef struct {
    ptrdiff_t inputs, outputs;
    const float *w;    /* packed as above; or, when is_dot, [outputs][inputs rounded up to W] */
    const float *bias; /* [outputs rounded up to W] */
    int is_dot;
} fused_product;

typedef struct {
    enum cell_kind cell;
    ptrdiff_t inputs, hidden, outputs; /* I, H, R */
    const float *w_x, *w_h, *bias, *peephole;
    fused_product projection; /* of no outputs when there is none */
} fused_layer;

typedef struct {
    ptrdiff_t layers, row; /* row: floats of a stream's state, by layer h then c, each rounded up to W */
    fused_layer layer[MAX_LAYERS];
    fused_product head; /* of no outputs when the top layer's h is the output */
    double work;        /* floating-point operations a step of one stream */
} fused_network;

/* One stream in a batch: its state, and its samples in order of time as rows of x, reset and out. */
typedef struct {
    void *state;
    const ptrdiff_t *samples;
    ptrdiff_t count;
} fused_lane;

typedef struct {
    const float *x;       /* [N, I]; NaN counts as 0, and all is clipped to +-1e4 */
    const uint8_t *reset; /* [N], not 0 = the state is zero before this sample; or NULL */
    float *out;           /* [N, D or R] */
    float *errors;        /* [N] mean over I of (out - x)^2, or NULL */
    int is_half;          /* states are float16, rounded after every step */
} fused_batch;

typedef struct {
    ptrdiff_t width; /* W */
    /* Floats of scratch that `run` needs. */
    ptrdiff_t (*scratch)(const fused_network *network);
    /* Advance up to PANEL lanes, the longest first; `next` are the lanes whose states will be wanted after. */
    void (*run)(const fused_network *network, const fused_lane *lanes, ptrdiff_t count, const fused_lane *next,
                ptrdiff_t next_count, const fused_batch *batch, float *scratch);
} fused_path;

/* BLAS's product, set once before any path through BLAS runs. */
typedef void (*fused_sgemm_function)(char *, char *, int *, int *, int *, float *, float *, int *, float *, int *, float *,
                                  float *, int *);
extern fused_sgemm_function fused_sgemm;

#endif
