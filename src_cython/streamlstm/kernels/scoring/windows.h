/* The newest window of a stream: its sample put into the ring, the window copied out, centred, normalised, and held
 * against another, on one level of the instruction set.
 *
 * A window is D = L C floats, the oldest sample first, so a channel's values are C apart. Sums by channel take a stripe at
 * a time, so many whole samples that they fill a vector or more: each value is added to what stands at its place in the
 * stripe, and in the end the places of a channel are added. One or two channels have stripes of one vector, which stay in
 * registers; those of more lie in memory. Every sum has one order, whatever stands beside the window. */
#ifndef STREAMLSTM_WINDOWS_H
#define STREAMLSTM_WINDOWS_H

#include <math.h>

#include "levels/scratch.h"
#include "levels/vector.h"
#include "prototypes.h"

enum {
    NARROW = 2, /* channels at most whose stripes stay in registers; W is a multiple */
    LONG = 128, /* floats that the stripes of more have, or more: what is left of them by whole vectors hardly counts */
};

typedef struct {
    ptrdiff_t width, stripe; /* floats of a window and of a stripe */
    float *masks;            /* [C, W] 1 where a place in a vector is of channel c; where there are up to NARROW */
    float *sums, *pattern;   /* [stripe] */
} window_memory;

static window_memory cut_window_memory(ptrdiff_t taps, ptrdiff_t channels, cut *c)
{
    window_memory m = {.width = taps * channels, .stripe = channels};
    while (m.stripe < (channels <= NARROW ? W : LONG))
        m.stripe *= 2;
    m.masks = cut_off(c, channels <= NARROW ? channels * W : 0);
    m.sums = cut_off(c, m.stripe);
    m.pattern = cut_off(c, m.stripe);
    for (ptrdiff_t i = 0; c->base && channels <= NARROW && i < channels * W; i++)
        m.masks[i] = i % W % channels == i / W ? 1.0f : 0.0f;
    return m;
}

/* Put a sample into its stream's ring, and copy the window out, oldest first: the row after the newest, and every
 * stride-th from there. */
ALWAYS void push(float *ring, const float *x, long long age, float *window, const prototype_set *set, ptrdiff_t channels)
{
    static const float limit = 1e4f; /* as the step has it */
    const ptrdiff_t size = set->span * channels, step = set->stride * channels;
    const ptrdiff_t newest = (ptrdiff_t)(age % set->span) * channels, older = newest + channels;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const float value = x[c] < limit ? x[c] : x[c] == x[c] ? limit : 0.0f;
        ring[newest + c] = value > -limit ? value : -limit;
    }
    if (set->stride == 1) {
        memcpy(window, ring + older, (size - older) * sizeof(float));
        memcpy(window + size - older, ring, older * sizeof(float));
        return;
    }
    for (ptrdiff_t tap = 0, at = older == size ? 0 : older; tap < set->taps; tap++) {
        for (ptrdiff_t c = 0; c < channels; c++)
            window[tap * channels + c] = ring[at + c];
        at += step;
        at -= at >= size ? size : 0;
    }
}

/* Narrow windows: from a vector to values by channel, and back. */
ALWAYS void fold_vector(float *by_channel, vec sum, const window_memory *m, ptrdiff_t channels)
{
    if (channels == 1)
        by_channel[0] = v_sum(sum);
    else
        for (ptrdiff_t c = 0; c < channels; c++)
            by_channel[c] = v_sum(sum * v_load(m->masks + c * W));
}

ALWAYS vec spread_vector(const float *by_channel, const window_memory *m, ptrdiff_t channels)
{
    vec pattern = v_set(by_channel[0]);
    if (channels > 1)
        pattern = pattern * v_load(m->masks) + v_set(by_channel[1]) * v_load(m->masks + W);
    return pattern;
}

/* Wider ones: the same for stripes in memory. */
ALWAYS void fold_stripe(float *by_channel, const window_memory *m, ptrdiff_t channels)
{
    for (ptrdiff_t half = m->stripe / 2; half >= channels; half /= 2)
        for (ptrdiff_t j = 0; j < half; j++)
            m->sums[j] += m->sums[half + j];
    memcpy(by_channel, m->sums, channels * sizeof(float));
}

ALWAYS void spread_stripe(const float *by_channel, const window_memory *m, ptrdiff_t channels)
{
    for (ptrdiff_t i = 0; i < m->stripe; i += channels)
        memcpy(m->pattern + i, by_channel, channels * sizeof(float));
}

ALWAYS ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* sum[channel] of its values */
ALWAYS void sum_values(const window_memory *m, const float *restrict window, ptrdiff_t channels, float *by_channel)
{
    if (channels <= NARROW) {
        vec sum = v_set(0.0f);
        ptrdiff_t i = 0;
        for (; i + W <= m->width; i += W)
            sum += v_load(window + i);
        if (i < m->width)
            sum += v_load_first(window + i, m->width - i);
        fold_vector(by_channel, sum, m, channels);
        return;
    }
    float *restrict sums = m->sums;
    memset(sums, 0, m->stripe * sizeof(float));
    for (ptrdiff_t i = 0; i < m->width; i += m->stripe)
        for (ptrdiff_t j = 0, size = smaller(m->stripe, m->width - i); j < size; j++)
            sums[j] += window[i + j];
    fold_stripe(by_channel, m, channels);
}

/* value -= means[channel]; sum[channel] of the squares of what is left */
ALWAYS void subtract_means(const window_memory *m, float *restrict window, const float *means, ptrdiff_t channels,
                           float *by_channel)
{
    if (channels <= NARROW) {
        const vec pattern = spread_vector(means, m, channels);
        vec sum = v_set(0.0f), value;
        ptrdiff_t i = 0;
        for (; i + W <= m->width; i += W) {
            value = v_load(window + i) - pattern;
            v_store(window + i, value);
            sum += value * value;
        }
        if (i < m->width) {
            v_store_first(window + i, v_load_first(window + i, m->width - i) - pattern, m->width - i);
            value = v_load_first(window + i, m->width - i);
            sum += value * value;
        }
        fold_vector(by_channel, sum, m, channels);
        return;
    }
    float *restrict sums = m->sums;
    const float *restrict pattern = m->pattern;
    spread_stripe(means, m, channels);
    memset(sums, 0, m->stripe * sizeof(float));
    for (ptrdiff_t i = 0; i < m->width; i += m->stripe)
        for (ptrdiff_t j = 0, size = smaller(m->stripe, m->width - i); j < size; j++) {
            const float value = window[i + j] -= pattern[j];
            sums[j] += value * value;
        }
    fold_stripe(by_channel, m, channels);
}

/* value *= factors[channel] */
ALWAYS void multiply_values(const window_memory *m, float *restrict window, const float *factors, ptrdiff_t channels)
{
    if (channels <= NARROW) {
        const vec pattern = spread_vector(factors, m, channels);
        ptrdiff_t i = 0;
        for (; i + W <= m->width; i += W)
            v_store(window + i, v_load(window + i) * pattern);
        if (i < m->width)
            v_store_first(window + i, v_load_first(window + i, m->width - i) * pattern, m->width - i);
        return;
    }
    const float *restrict pattern = m->pattern;
    spread_stripe(factors, m, channels);
    for (ptrdiff_t i = 0; i < m->width; i += m->stripe)
        for (ptrdiff_t j = 0, size = smaller(m->stripe, m->width - i); j < size; j++)
            window[i + j] *= pattern[j];
}

/* sum[channel] of the squares of differences from another window */
ALWAYS void sum_differences(const window_memory *m, const float *restrict window, const float *restrict other,
                            ptrdiff_t channels, float *by_channel)
{
    if (channels <= NARROW) {
        vec sum = v_set(0.0f), difference;
        ptrdiff_t i = 0;
        for (; i + W <= m->width; i += W) {
            difference = v_load(window + i) - v_load(other + i);
            sum += difference * difference;
        }
        if (i < m->width) {
            difference = v_load_first(window + i, m->width - i) - v_load_first(other + i, m->width - i);
            sum += difference * difference;
        }
        fold_vector(by_channel, sum, m, channels);
        return;
    }
    float *restrict sums = m->sums;
    memset(sums, 0, m->stripe * sizeof(float));
    for (ptrdiff_t i = 0; i < m->width; i += m->stripe)
        for (ptrdiff_t j = 0, size = smaller(m->stripe, m->width - i); j < size; j++) {
            const float difference = window[i + j] - other[i + j];
            sums[j] += difference * difference;
        }
    fold_stripe(by_channel, m, channels);
}

#endif
