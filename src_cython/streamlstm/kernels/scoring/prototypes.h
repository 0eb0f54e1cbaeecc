/* Distances of the newest windows of streams to the nearest prototypes, of one level of the instruction set.
 *
 * A window w is L samples of a stream, the newest and every J-th before it, oldest first, C values each: D = L C floats.
 * With a stride J of 1 they are the last L. By channel c, with sums and means over its L values:
 *
 *   centred      v = w - mean_c(w)
 *   normalised   u = v / sqrt(mean_c(v^2) + floor_c^2)
 *   distance     |v - nearest|^2 / D      nearest: the prototype p for which |p|^2 / 2 - v.p is least
 *
 * prototypes.c is compiled once a level. The products with all prototypes say which is nearest, and the distance to that
 * one is then summed from the differences: a window that lies close to it loses nothing to rounding.
 */
#ifndef STREAMLSTM_PROTOTYPES_H
#define STREAMLSTM_PROTOTYPES_H

#include <stddef.h>
#include <stdint.h>

enum { PROTOTYPE_PARTS = 2 }; /* centred, normalised */

/* K prototypes of each part. `packed` are those negated, in blocks of 4 W, zero beyond the last: [blocks][D][4][W]. */
typedef struct {
    ptrdiff_t channels, taps, count, padded;   /* C, L, K, and K rounded up to whole blocks */
    ptrdiff_t stride, span;                    /* J, and R = (L - 1) J + 1: samples that a window reaches back */
    const float *plain[PROTOTYPE_PARTS];       /* [K][D] */
    const float *packed[PROTOTYPE_PARTS];
    const float *half_squares[PROTOTYPE_PARTS]; /* [padded] |p|^2 / 2; beyond the last so large that none is nearest */
    const float *floors;                       /* [C], above 0 */
} prototype_set;

/* N samples of streams in S slots, in the order of their arrival. */
typedef struct {
    ptrdiff_t count;
    const long long *slots;  /* [N] */
    const float *x;          /* [N, C]; NaN counts as 0, and all is clipped to +-1e4 */
    const uint8_t *reset;    /* [N], not 0 = the stream begins anew */
    const long long *ages;   /* [N], none below 0 */
    float *windows;          /* [S, R, C], rings: the sample at age a in row a % R */
    float *statistics;       /* [N, PROTOTYPE_PARTS], 0 until the window is full */
    float *contribution;     /* [N, C], the channels' shares in the distances, which add up to 1 */
    float *expected;         /* [N, C], what the nearest centred prototype has for the newest sample */
} prototype_batch;

typedef struct {
    ptrdiff_t width; /* W */
    /* Floats of scratch that `advance` needs, which begins on a line of the cache. */
    ptrdiff_t (*scratch)(const prototype_set *set);
    void (*advance)(const prototype_set *set, const prototype_batch *batch, float *scratch);
} prototype_path;

#endif
