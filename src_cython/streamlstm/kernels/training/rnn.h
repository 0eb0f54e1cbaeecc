/* The plain RNN: h = tanh(z), which is all that backward needs; a block has `span` vectors of units. */
#ifndef STREAMLSTM_TRAINING_RNN_H
#define STREAMLSTM_TRAINING_RNN_H

#include "block_steps.h"

ALWAYS void finish_rnn(int span, int rows, const block_step *t, ptrdiff_t row, vec (*z)[4])
{
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < span; v++)
            store_units(t->out + (row + r) * t->ld + v * W, v_tanh(z[r][v]), t->units - v * W);
}

/* dz = d_h (1 - h^2) */
static void differentiate_rnn(int span, const block_gradients *p)
{
    for (int v = 0; v < span; v++) {
        const ptrdiff_t units = p->units - v * W;
        vec sum = v_load(p->sum_bias + v * W);
        if (units <= 0) { /* dz of no unit, which products read all the same */
            for (ptrdiff_t b = 0; b < p->B; b++)
                v_store(p->dz + (b * span + v) * W, v_set(0.0f));
            continue;
        }
        for (ptrdiff_t b = 0; b < p->B; b++) {
            const ptrdiff_t offset = b * p->ld + v * W;
            const vec h = load_units(p->h + offset, units);
            const vec d = load_units(p->d_y + offset, units) + load_units(p->d_h + offset, units);
            const vec dz = d * (v_set(1.0f) - h * h);
            v_store(p->dz + (b * span + v) * W, dz);
            sum = sum + dz;
        }
        v_store(p->sum_bias + v * W, sum);
    }
}

#endif
