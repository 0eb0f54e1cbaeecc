/* Register tiles of products whose operands lie as they like:
 *
 *   sum[r][v] += sum_k x[r, k] w[k, v]        x[r, k] a float, w[k, v] a vector; k ascending, so each sum has one order
 *
 * With x a row-major matrix that is a product, y = x w; with x transposed, its rows as k, it is a sum of outer products.
 */
#ifndef STREAMLSTM_TRAINING_PRODUCTS_H
#define STREAMLSTM_TRAINING_PRODUCTS_H

#include "levels/vector.h"

/* k runs over `segments` pieces of `depth`; the pieces of x are x_segment apart, those of w follow each other. Beside
 * each k a line of the cache may be fetched that will be wanted later: at `ahead`, and then every ahead_step bytes. */
typedef struct {
    const float *x, *w;
    ptrdiff_t x_row, x_k, x_segment, w_k, depth, segments;
    const char *ahead;
    ptrdiff_t ahead_step;
} operands;

/* To the sums of `vectors` vectors from `first` on. */
ALWAYS void add_products(int fetches, int rows, int first, int vectors, vec (*sum)[4], operands o)
{
    for (ptrdiff_t s = 0; s < o.segments; s++) {
        const float *x = o.x + s * o.x_segment;
        for (ptrdiff_t k = 0; k < o.depth; k++, x += o.x_k, o.w += o.w_k) {
            vec weights[4];
            if (fetches) {
                __builtin_prefetch(o.ahead, 0, 2);
                o.ahead += o.ahead_step;
            }
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                weights[v] = v_load(o.w + v * W);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                const vec value = v_set(x[r * o.x_row]);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    sum[r][first + v] = v_fma(weights[v], value, sum[r][first + v]);
            }
        }
    }
}

/* y [rows, outputs] = x w. The last vector may be one in part. */
typedef struct {
    operands of;
    ptrdiff_t outputs, ld_y;
    float *y;
} product;

ALWAYS void product_tile(int rows, int vectors, const product *p, ptrdiff_t row)
{
    vec sum[TILE_ROWS][4];
    operands of = p->of;
    of.x += row * of.x_row;
    of.x_k = 1;
    of.w_k = vectors * W;
    const ptrdiff_t last = p->outputs - (vectors - 1) * W;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = v_set(0.0f);
    add_products(1, rows, 0, vectors, sum, of);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        float *y = p->y + (row + r) * p->ld_y;
#pragma GCC unroll 4
        for (int v = 0; v < vectors - 1; v++)
            v_store(y + v * W, sum[r][v]);
        if (last == W)
            v_store(y + (vectors - 1) * W, sum[r][vectors - 1]);
        else
            v_store_first(y + (vectors - 1) * W, sum[r][vectors - 1], last);
    }
}

/* sums [columns of x, vectors, W] += sum_k x[k, column] w[k] */
typedef struct {
    operands of;
    float *sums;
} outer;

ALWAYS void outer_tile(int columns, int vectors, const outer *p, ptrdiff_t column)
{
    vec sum[TILE_ROWS][4];
    float *sums = p->sums + column * vectors * W;
    operands of = p->of;
    of.x += column;
    of.x_row = 1;
#pragma GCC unroll 6
    for (int r = 0; r < columns; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = v_load(sums + (r * vectors + v) * W);
    add_products(0, columns, 0, vectors, sum, of);
#pragma GCC unroll 6
    for (int r = 0; r < columns; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            v_store(sums + (r * vectors + v) * W, sum[r][v]);
}

/* Functions of a tile for every number of rows that the registers hold: KIND_tiles[vectors - 1][rows - 1]. */
#define DEFINE_TILE(KIND, ROWS, VECTORS)                                                                               \
    static __attribute__((noinline)) void KIND##_##ROWS##_##VECTORS(const KIND *p, ptrdiff_t row)                       \
    {                                                                                                                  \
        if (ROWS <= TILE_ROWS) /* others are not called */                                                             \
            KIND##_tile(ROWS, VECTORS, p, row);                                                                        \
    }
#define DEFINE_ROWS(KIND, V)                                                                                           \
    DEFINE_TILE(KIND, 1, V) DEFINE_TILE(KIND, 2, V) DEFINE_TILE(KIND, 3, V)                                            \
    DEFINE_TILE(KIND, 4, V) DEFINE_TILE(KIND, 5, V) DEFINE_TILE(KIND, 6, V)
#define NAME_ROWS(KIND, V) {KIND##_1_##V, KIND##_2_##V, KIND##_3_##V, KIND##_4_##V, KIND##_5_##V, KIND##_6_##V}
#define DEFINE_TILES(KIND)                                                                                             \
    DEFINE_ROWS(KIND, 1) DEFINE_ROWS(KIND, 2) DEFINE_ROWS(KIND, 3) DEFINE_ROWS(KIND, 4)                                \
    static void (*const KIND##_tiles[4][6])(const KIND *, ptrdiff_t) = {NAME_ROWS(KIND, 1), NAME_ROWS(KIND, 2),        \
                                                                        NAME_ROWS(KIND, 3), NAME_ROWS(KIND, 4)};
DEFINE_TILES(product)
DEFINE_TILES(outer)

/* Rows of the next tile when `left` are left: as equal as can be, so 64 rows are nine of six and two of five. */
ALWAYS ptrdiff_t next_rows(ptrdiff_t left)
{
    const ptrdiff_t tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
    return (left + tiles - 1) / tiles;
}

/* Regions of memory that will be wanted soon, fetched line by line beside products. */
typedef struct {
    struct {
        const float *begin;
        ptrdiff_t lines;
    } regions[6];
    int at, count;
} fetch_list;

ALWAYS void add_region(fetch_list *list, const float *begin, ptrdiff_t floats)
{
    list->regions[list->count].begin = begin;
    list->regions[list->count++].lines = floats / 16;
}

/* Have a tile of `depth` k fetch what is next. */
ALWAYS void fetch_beside(fetch_list *list, operands *of, ptrdiff_t depth)
{
    of->ahead = (const char *)of->w;
    of->ahead_step = 0;
    if (!list || list->at == list->count)
        return;
    of->ahead = (const char *)list->regions[list->at].begin;
    of->ahead_step = 64;
    list->regions[list->at].begin += 16 * depth;
    list->regions[list->at].lines -= depth;
    list->at += list->regions[list->at].lines <= 0;
}

/* y [rows, outputs] = x w; w is packed [outputs / 4W][K][4][W], the last group of as many vectors as are left. */
static void multiply(ptrdiff_t rows, product p, ptrdiff_t outputs, fetch_list *next)
{
    const ptrdiff_t depth = p.of.segments * p.of.depth;
    for (ptrdiff_t done = 0, vectors; done < outputs; done += vectors * W) {
        const ptrdiff_t left = padded(outputs - done) / W;
        vectors = left < 4 ? left : 4;
        p.outputs = outputs - done < 4 * W ? outputs - done : 4 * W;
        for (ptrdiff_t row = 0, size; row < rows; row += size) {
            size = next_rows(rows - row);
            fetch_beside(next, &p.of, depth);
            product_tiles[vectors - 1][size - 1](&p, row);
        }
        p.of.w += depth * vectors * W;
        p.y += vectors * W;
    }
}

/* sums [columns, vectors, W] += x^T w, rows of x as k */
static void add_outer(ptrdiff_t columns, int vectors, outer p)
{
    for (ptrdiff_t column = 0, size; column < columns; column += size) {
        size = next_rows(columns - column);
        outer_tiles[vectors - 1][size - 1](&p, column);
    }
}

#endif
