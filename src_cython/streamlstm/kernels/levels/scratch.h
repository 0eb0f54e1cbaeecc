/* Areas of a kernel's scratch, one after the other; the same cuts without memory tell how much it takes. */
#ifndef STREAMLSTM_SCRATCH_H
#define STREAMLSTM_SCRATCH_H

#include <stddef.h>

typedef struct {
    float *base;    /* on a line of the cache; or NULL, to count */
    ptrdiff_t used; /* floats */
} cut;

/* Cut off the next area, which begins on a line of the cache. */
static inline float *cut_off(cut *c, ptrdiff_t floats)
{
    float *area = c->base ? c->base + c->used : NULL;
    c->used += (floats + 15) / 16 * 16;
    return area;
}

#endif
