/* Distances to prototypes on one level of the instruction set; LEVEL names it.
 *
 * Samples go in panels, in the order of their arrival: first each is put into its stream's ring and the window is copied
 * out, so a stream may come several times in a panel; then the panel is multiplied by all prototypes, tile by tile. Rows
 * of a tile do not meet and each sum has one order, so a stream's bits do not depend on the batch. */
#include "prototypes.h"

#include <float.h>
#include <math.h>

#include "levels/denormals.h"
#include "levels/scratch.h"
#include "levels/vector.h"

enum {
    PANEL_ROWS = 24, /* windows multiplied at once: they and a block of prototypes stay in the second-level cache */
    BLOCK = 4 * W,
    LANES = 16,       /* least floats that a sum by channel takes side by side */
    FETCHED_AHEAD = 4, /* samples whose rings are on their way to the cache */
};

static const float INPUT_LIMIT = 1e4f; /* as the step has it */

/* What a panel is worked on in. */
typedef struct {
    ptrdiff_t width; /* D */
    float *windows;  /* [PANEL_ROWS, D] */
    float *products; /* [TILE_ROWS, padded] */
    float *means;    /* [PANEL_ROWS, C] */
    float *factors;  /* [PANEL_ROWS, C] 1 / deviation */
    float *sums, *pattern; /* [stripe] */
} panel_memory;

/* Floats of a stripe: so many samples, a power of two, that they have LANES values or more. A sum by channel adds the
 * window's stripes, and then the halves of the sum. */
ALWAYS ptrdiff_t stripe_of(ptrdiff_t channels)
{
    ptrdiff_t stripe = channels;
    while (stripe < LANES)
        stripe *= 2;
    return stripe;
}

static panel_memory cut_memory(const prototype_set *set, cut *c)
{
    const ptrdiff_t stripe = stripe_of(set->channels);
    panel_memory m = {.width = set->taps * set->channels};
    m.windows = cut_off(c, PANEL_ROWS * m.width);
    m.products = cut_off(c, TILE_ROWS * set->padded);
    m.means = cut_off(c, PANEL_ROWS * set->channels);
    m.factors = cut_off(c, PANEL_ROWS * set->channels);
    m.sums = cut_off(c, stripe);
    m.pattern = cut_off(c, stripe);
    return m;
}

static ptrdiff_t scratch(const prototype_set *set)
{
    cut c = {NULL, 0};
    cut_memory(set, &c);
    return c.used;
}

/* The statement for values i + j of a window of `width`, j those of its stripe. */
#define BY_STRIPE(STATEMENT)                                                                                           \
    do {                                                                                                               \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + stripe <= width; i += stripe)                                                                       \
            for (ptrdiff_t j = 0; j < stripe; j++)                                                                     \
                STATEMENT;                                                                                             \
        for (ptrdiff_t j = 0; j < width - i; j++)                                                                      \
            STATEMENT;                                                                                                 \
    } while (0)

/* The sums of a stripe become those by channel. */
ALWAYS void fold(float *sums, ptrdiff_t channels, ptrdiff_t stripe)
{
    for (ptrdiff_t half = stripe / 2; half >= channels; half /= 2)
        for (ptrdiff_t j = 0; j < half; j++)
            sums[j] += sums[half + j];
}

/* Values by channel, side by side over a stripe. */
ALWAYS void repeat(float *pattern, const float *by_channel, ptrdiff_t channels, ptrdiff_t stripe)
{
    memcpy(pattern, by_channel, channels * sizeof(float));
    for (ptrdiff_t filled = channels; filled < stripe; filled *= 2)
        for (ptrdiff_t j = 0; j < filled; j++)
            pattern[filled + j] = pattern[j];
}

/* Put the sample into its stream's ring, and copy the window out, oldest first. */
ALWAYS void push(const prototype_set *set, const prototype_batch *b, ptrdiff_t n, float *window, ptrdiff_t channels)
{
    const ptrdiff_t width = set->taps * channels;
    const ptrdiff_t newest = (ptrdiff_t)(b->ages[n] % set->taps) * channels, older = newest + channels;
    float *ring = b->windows + b->slots[n] * width;
    if (b->reset[n])
        memset(ring, 0, width * sizeof(float));
    for (ptrdiff_t c = 0; c < channels; c++) {
        float value = b->x[n * channels + c];
        value = value < INPUT_LIMIT ? value : value == value ? INPUT_LIMIT : 0.0f;
        ring[newest + c] = value > -INPUT_LIMIT ? value : -INPUT_LIMIT;
    }
    memcpy(window, ring + older, (width - older) * sizeof(float));
    memcpy(window + width - older, ring, older * sizeof(float));
    if (n + FETCHED_AHEAD < b->count) {
        const float *wanted = b->windows + b->slots[n + FETCHED_AHEAD] * width;
        for (ptrdiff_t i = 0; i < width; i += LANES)
            __builtin_prefetch(wanted + i);
    }
}

/* Subtract each channel's mean from its window; keep it and 1 / deviation. */
ALWAYS void centre(const prototype_set *set, const panel_memory *m, ptrdiff_t row, ptrdiff_t channels)
{
    const ptrdiff_t width = m->width, stripe = stripe_of(channels);
    const float taps = (float)set->taps;
    float *restrict window = m->windows + row * width, *restrict sums = m->sums, *restrict pattern = m->pattern;
    float *means = m->means + row * channels, *factors = m->factors + row * channels;
    memset(sums, 0, stripe * sizeof(float));
    BY_STRIPE(sums[j] += window[i + j]);
    fold(sums, channels, stripe);
    for (ptrdiff_t c = 0; c < channels; c++)
        means[c] = sums[c] / taps;
    repeat(pattern, means, channels, stripe);
    memset(sums, 0, stripe * sizeof(float));
    BY_STRIPE((window[i + j] -= pattern[j], sums[j] += window[i + j] * window[i + j]));
    fold(sums, channels, stripe);
    for (ptrdiff_t c = 0; c < channels; c++)
        factors[c] = 1.0f / sqrtf(sums[c] / taps + set->floors[c] * set->floors[c]);
}

ALWAYS void normalise(const panel_memory *m, ptrdiff_t row, ptrdiff_t channels)
{
    const ptrdiff_t width = m->width, stripe = stripe_of(channels);
    float *restrict window = m->windows + row * width, *restrict pattern = m->pattern;
    repeat(pattern, m->factors + row * channels, channels, stripe);
    BY_STRIPE(window[i + j] *= pattern[j]);
}

/* |p|^2 / 2 - v.p of some windows and a block of prototypes. */
ALWAYS void product_tile(int rows, const float *windows, ptrdiff_t width, const float *packed, const float *half_squares,
                         float *products, ptrdiff_t ld_products)
{
    vec sum[TILE_ROWS][4];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            sum[r][v] = v_load(half_squares + v * W);
    for (ptrdiff_t k = 0; k < width; k++, packed += BLOCK) {
        vec weights[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            weights[v] = v_load(packed + v * W);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const vec value = v_set(windows[r * width + k]);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++)
                sum[r][v] = v_fma(weights[v], value, sum[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            v_store(products + r * ld_products + v * W, sum[r][v]);
}

#define DEFINE_TILE(ROWS)                                                                                              \
    static __attribute__((noinline)) void product_tile_##ROWS(const float *windows, ptrdiff_t width,                   \
                                                              const float *packed, const float *half_squares,          \
                                                              float *products, ptrdiff_t ld_products)                  \
    {                                                                                                                  \
        if (ROWS <= TILE_ROWS) /* others are not called */                                                             \
            product_tile(ROWS, windows, width, packed, half_squares, products, ld_products);                           \
    }
DEFINE_TILE(1) DEFINE_TILE(2) DEFINE_TILE(3) DEFINE_TILE(4) DEFINE_TILE(5) DEFINE_TILE(6)
static void (*const product_tiles[6])(const float *, ptrdiff_t, const float *, const float *, float *, ptrdiff_t) = {
    product_tile_1, product_tile_2, product_tile_3, product_tile_4, product_tile_5, product_tile_6};

/* The first of the least of n values, n a multiple of W; 0 where one is NaN. */
static ptrdiff_t least(const float *values, ptrdiff_t n)
{
    float low[W];
    int32_t at[W];
    vec lowest = v_load(values);
    for (ptrdiff_t k = W; k < n; k += W)
        lowest = v_min(lowest, v_load(values + k));
    v_store(low, lowest);
    for (int half = W / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            low[j] = low[j] < low[half + j] ? low[j] : low[half + j];
    for (int j = 0; j < W; j++)
        at[j] = INT32_MAX;
    for (ptrdiff_t k = n - W; k >= 0; k -= W)
        for (int j = 0; j < W; j++)
            at[j] = values[k + j] == low[0] ? (int32_t)k + j : at[j];
    for (int half = W / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            at[j] = at[j] < at[half + j] ? at[j] : at[half + j];
    return at[0] < n ? at[0] : 0;
}

/* The distance of a window to a prototype; each channel's share in it, divided by the parts, goes to contribution. */
ALWAYS float distance(const panel_memory *m, ptrdiff_t row, const float *nearest, float *contribution,
                      ptrdiff_t channels)
{
    const ptrdiff_t width = m->width, stripe = stripe_of(channels);
    const float *restrict window = m->windows + row * width, *restrict other = nearest;
    float *restrict sums = m->sums;
    float total = 0.0f;
    memset(sums, 0, stripe * sizeof(float));
    BY_STRIPE(sums[j] += (window[i + j] - other[i + j]) * (window[i + j] - other[i + j]));
    fold(sums, channels, stripe);
    for (ptrdiff_t c = 0; c < channels; c++)
        total += sums[c];
    for (ptrdiff_t c = 0; c < channels; c++)
        contribution[c] += (total > 0 ? sums[c] / total : 1.0f / (float)channels) / PROTOTYPE_PARTS;
    return total / (float)width;
}

/* Measure one part of the panel's rows, from sample `first` of the batch on. */
ALWAYS void measure(const prototype_set *set, const prototype_batch *b, const panel_memory *m, int part,
                    ptrdiff_t first, ptrdiff_t rows, ptrdiff_t channels)
{
    const ptrdiff_t width = m->width;
    for (ptrdiff_t row = 0, size; row < rows; row += size) {
        size = rows - row < TILE_ROWS ? rows - row : TILE_ROWS;
        for (ptrdiff_t k = 0; k < set->padded; k += BLOCK)
            product_tiles[size - 1](m->windows + row * width, width, set->packed[part] + k * width,
                                    set->half_squares[part] + k, m->products + k, set->padded);
        for (ptrdiff_t r = 0; r < size; r++) {
            const ptrdiff_t n = first + row + r;
            if (b->ages[n] < set->taps - 1)
                continue;
            const float *nearest = set->plain[part] + least(m->products + r * set->padded, set->padded) * width;
            b->statistics[n * PROTOTYPE_PARTS + part] =
                distance(m, row + r, nearest, b->contribution + n * channels, channels);
            for (ptrdiff_t c = 0; part == 0 && c < channels; c++)
                b->expected[n * channels + c] = m->means[(row + r) * channels + c] + nearest[width - channels + c];
        }
    }
}

ALWAYS void run_panel(const prototype_set *set, const prototype_batch *b, const panel_memory *m, ptrdiff_t first,
                      ptrdiff_t rows, ptrdiff_t channels)
{
    for (ptrdiff_t row = 0; row < rows; row++) {
        const ptrdiff_t n = first + row;
        const int is_full = b->ages[n] >= set->taps - 1;
        push(set, b, n, m->windows + row * m->width, channels);
        centre(set, m, row, channels);
        for (int part = 0; part < PROTOTYPE_PARTS; part++)
            b->statistics[n * PROTOTYPE_PARTS + part] = 0.0f;
        for (ptrdiff_t c = 0; c < channels; c++) {
            b->contribution[n * channels + c] = is_full ? 0.0f : 1.0f / (float)channels;
            b->expected[n * channels + c] = 0.0f;
        }
    }
    measure(set, b, m, 0, first, rows, channels);
    for (ptrdiff_t row = 0; row < rows; row++)
        normalise(m, row, channels);
    measure(set, b, m, 1, first, rows, channels);
}

static void advance(const prototype_set *set, const prototype_batch *b, float *memory)
{
    const unsigned int control = flush_denormals();
    cut c = {memory, 0};
    const panel_memory m = cut_memory(set, &c);
    for (ptrdiff_t first = 0; first < b->count; first += PANEL_ROWS) {
        const ptrdiff_t rows = b->count - first < PANEL_ROWS ? b->count - first : PANEL_ROWS;
        if (set->channels == 1) /* numbers that the compiler knows: its loops over a stripe are then a vector or two */
            run_panel(set, b, &m, first, rows, 1);
        else if (set->channels == 2)
            run_panel(set, b, &m, first, rows, 2);
        else
            run_panel(set, b, &m, first, rows, set->channels);
    }
    restore_denormals(control);
}

const prototype_path LEVEL_NAME(prototypes_) = {W, scratch, advance};
