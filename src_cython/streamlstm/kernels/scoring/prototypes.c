/* Distances to prototypes on one level of the instruction set; LEVEL names it.
 *
 * Samples go in panels, in the order of their arrival: first each is put into its stream's ring and the window is copied
 * out, so a stream may come several times in a panel; then the panel is multiplied by all prototypes, tile by tile. Rows
 * of a tile do not meet and each sum has one order, so a stream's bits do not depend on the batch. */
#include "prototypes.h"

#include "levels/denormals.h"
#include "windows.h"

enum {
    PANEL_ROWS = 24, /* windows multiplied at once: they and a block of prototypes stay in the second-level cache */
    BLOCK = 4 * W,
    FETCHED_AHEAD = 4, /* samples whose rings are on their way to the cache */
};

/* What a panel is worked on in. */
typedef struct {
    window_memory window;
    float *windows;  /* [PANEL_ROWS, D] */
    float *products; /* [PANEL_ROWS, padded] */
    float *means;    /* [PANEL_ROWS, C] */
    float *factors;  /* [PANEL_ROWS, C] 1 / deviation */
    float *squares;  /* [C] */
} panel_memory;

static panel_memory cut_memory(const prototype_set *set, cut *c)
{
    panel_memory m = {.window = cut_window_memory(set->taps, set->channels, c)};
    m.windows = cut_off(c, PANEL_ROWS * m.window.width);
    m.products = cut_off(c, PANEL_ROWS * set->padded);
    m.means = cut_off(c, PANEL_ROWS * set->channels);
    m.factors = cut_off(c, PANEL_ROWS * set->channels);
    m.squares = cut_off(c, set->channels);
    return m;
}

static ptrdiff_t scratch(const prototype_set *set)
{
    cut c = {NULL, 0};
    cut_memory(set, &c);
    return c.used;
}

/* |p|^2 / 2 - v.p of windows and a block of prototypes. */
typedef struct {
    const float *windows, *packed, *half_squares;
    float *products;
    ptrdiff_t width, products_row; /* D; floats from one row of products to the next */
} block_product;

ALWAYS void product_tile(int rows, const block_product *p, ptrdiff_t row)
{
    vec sum[TILE_ROWS][4];
    const float *windows = p->windows + row * p->width, *packed = p->packed;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            sum[r][v] = v_load(p->half_squares + v * W);
    for (ptrdiff_t k = 0; k < p->width; k++, packed += BLOCK) {
        vec weights[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            weights[v] = v_load(packed + v * W);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const vec value = v_set(windows[r * p->width + k]);
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++)
                sum[r][v] = v_fma(weights[v], value, sum[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
            v_store(p->products + (row + r) * p->products_row + v * W, sum[r][v]);
}

#define DEFINE_TILE(ROWS)                                                                                              \
    static __attribute__((noinline)) void product_tile_##ROWS(const block_product *p, ptrdiff_t row)                   \
    {                                                                                                                  \
        if (ROWS <= TILE_ROWS) /* others are not called */                                                             \
            product_tile(ROWS, p, row);                                                                                \
    }
DEFINE_TILE(1) DEFINE_TILE(2) DEFINE_TILE(3) DEFINE_TILE(4) DEFINE_TILE(5) DEFINE_TILE(6)
static void (*const product_tiles[6])(const block_product *, ptrdiff_t) = {
    product_tile_1, product_tile_2, product_tile_3, product_tile_4, product_tile_5, product_tile_6};

/* Those of a panel's windows and all prototypes of a part, block by block: one stays in the cache for all tiles. */
static void multiply(const prototype_set *set, const panel_memory *m, int part, ptrdiff_t rows)
{
    block_product p = {
        .windows = m->windows,
        .packed = set->packed[part],
        .half_squares = set->half_squares[part],
        .products = m->products,
        .width = m->window.width,
        .products_row = set->padded,
    };
    for (ptrdiff_t k = 0; k < set->padded; k += BLOCK) {
        for (ptrdiff_t row = 0, size; row < rows; row += size) {
            size = smaller(rows - row, TILE_ROWS);
            product_tiles[size - 1](&p, row);
        }
        p.packed += BLOCK * p.width;
        p.half_squares += BLOCK;
        p.products += BLOCK;
    }
}

/* The first of the least of n values, n a multiple of W; 0 where that is none of the first `count`, as with a NaN. */
static ptrdiff_t least(const float *values, ptrdiff_t n, ptrdiff_t count)
{
    typedef int32_t indices __attribute__((vector_size(sizeof(vec))));
    static const int32_t count_up[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    float low[W];
    int32_t at[W];
    indices order, first;
    vec lowest = v_load(values);
    for (ptrdiff_t k = W; k < n; k += W)
        lowest = v_min(lowest, v_load(values + k));
    v_store(low, lowest);
#pragma GCC unroll 4
    for (int half = W / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int j = 0; j < half; j++)
            low[j] = low[j] < low[half + j] ? low[j] : low[half + j];
    lowest = v_set(low[0]);
    memcpy(&order, count_up, sizeof order);
    first = order + (int32_t)n;
    for (ptrdiff_t k = n - W; k >= 0; k -= W) {
        const indices is_least = (indices)(v_load(values + k) == lowest);
        first = (is_least & (order + (int32_t)k)) | (~is_least & first);
    }
    memcpy(at, &first, sizeof first);
#pragma GCC unroll 4
    for (int half = W / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int j = 0; j < half; j++)
            at[j] = at[j] < at[half + j] ? at[j] : at[half + j];
    return at[0] < count ? at[0] : 0;
}

/* Put a sample into its stream's ring; centre its window, which is the panel's row. */
ALWAYS void take(const prototype_set *set, const prototype_batch *b, const panel_memory *m, ptrdiff_t n, ptrdiff_t row,
                 ptrdiff_t channels)
{
    const ptrdiff_t width = m->window.width, size = set->span * channels;
    const float taps = (float)set->taps;
    float *ring = b->windows + b->slots[n] * size, *window = m->windows + row * width;
    float *means = m->means + row * channels, *factors = m->factors + row * channels;
    if (n + FETCHED_AHEAD < b->count) {
        const float *wanted = b->windows + b->slots[n + FETCHED_AHEAD] * size;
        for (ptrdiff_t i = 0; i < size; i += 16)
            __builtin_prefetch(wanted + i, 1);
    }
    if (b->reset[n])
        memset(ring, 0, size * sizeof(float));
    push(ring, b->x + n * channels, b->ages[n], window, set, channels);
    sum_values(&m->window, window, channels, means);
    for (ptrdiff_t c = 0; c < channels; c++)
        means[c] /= taps;
    subtract_means(&m->window, window, means, channels, m->squares);
    for (ptrdiff_t c = 0; c < channels; c++)
        factors[c] = 1.0f / sqrtf(m->squares[c] / taps + set->floors[c] * set->floors[c]);
}

/* Measure one part of a sample, whose window is the panel's row, once it is multiplied. */
ALWAYS void measure(const prototype_set *set, const prototype_batch *b, const panel_memory *m, int part, ptrdiff_t n,
                    ptrdiff_t row, ptrdiff_t channels)
{
    const ptrdiff_t width = m->window.width;
    const float *nearest = set->plain[part] + least(m->products + row * set->padded, set->padded, set->count) * width;
    float *contribution = b->contribution + n * channels, *squares = m->squares, total = 0.0f;
    sum_differences(&m->window, m->windows + row * width, nearest, channels, squares);
    for (ptrdiff_t c = 0; c < channels; c++)
        total += squares[c];
    b->statistics[n * PROTOTYPE_PARTS + part] = total / (float)width;
    for (ptrdiff_t c = 0; c < channels; c++)
        contribution[c] += (total > 0 ? squares[c] / total : 1.0f / (float)channels) / PROTOTYPE_PARTS;
    for (ptrdiff_t c = 0; part == 0 && c < channels; c++)
        b->expected[n * channels + c] = m->means[row * channels + c] + nearest[width - channels + c];
}

ALWAYS void run_panel(const prototype_set *set, const prototype_batch *b, const panel_memory *m, ptrdiff_t first,
                      ptrdiff_t rows, ptrdiff_t channels)
{
    memset(b->statistics + first * PROTOTYPE_PARTS, 0, rows * PROTOTYPE_PARTS * sizeof(float));
    memset(b->expected + first * channels, 0, rows * channels * sizeof(float));
    for (ptrdiff_t row = 0; row < rows; row++) {
        const float share = b->ages[first + row] < set->span - 1 ? 1.0f / (float)channels : 0.0f;
        for (ptrdiff_t c = 0; c < channels; c++)
            b->contribution[(first + row) * channels + c] = share;
        take(set, b, m, first + row, row, channels);
    }
    for (int part = 0; part < PROTOTYPE_PARTS; part++) {
        for (ptrdiff_t row = 0; part == 1 && row < rows; row++)
            multiply_values(&m->window, m->windows + row * m->window.width, m->factors + row * channels, channels);
        multiply(set, m, part, rows);
        for (ptrdiff_t row = 0; row < rows; row++)
            if (b->ages[first + row] >= set->span - 1)
                measure(set, b, m, part, first + row, row, channels);
    }
}

static void advance(const prototype_set *set, const prototype_batch *b, float *memory)
{
    const unsigned int control = flush_denormals();
    cut c = {memory, 0};
    const panel_memory m = cut_memory(set, &c);
    for (ptrdiff_t first = 0; first < b->count; first += PANEL_ROWS) {
        const ptrdiff_t rows = smaller(b->count - first, PANEL_ROWS);
        if (set->channels == 1) /* numbers that the compiler knows: loops over channels are gone */
            run_panel(set, b, &m, first, rows, 1);
        else if (set->channels == 2)
            run_panel(set, b, &m, first, rows, 2);
        else
            run_panel(set, b, &m, first, rows, set->channels);
    }
    restore_denormals(control);
}

const prototype_path LEVEL_NAME(prototypes_) = {W, scratch, advance};
