/* How a cell's matrices lie in blocks of units, and the way there and back.
 *
 * A block has some vectors of W lanes. Of the LSTM and GRU kinds they are the gates of W units; of the plain RNN, which
 * has one, they are up to four vectors of units: a tile of rows times a block then fills the registers in either.
 */
#ifndef STREAMLSTM_TRAINING_BLOCKS_H
#define STREAMLSTM_TRAINING_BLOCKS_H

#include "products.h"

/* Vectors of a block that take part in a product: which gate each is of, by which the weights are scaled. */
typedef struct {
    int count, gate[4];
    float scale[4]; /* by gate */
} gate_order;

typedef struct {
    int span;               /* vectors of units a block */
    int kept, found;        /* vectors a block of the gates that forward keeps, and of dz */
    int first_h;            /* those that go with x are the first; those that go with h begin here */
    gate_order x, h;        /* and are these */
    ptrdiff_t blocks, wide; /* wide: units of all blocks, the last filled up */
} cell_layout;

/* Row of a gate matrix that a lane of a block's vector is of; -1 beyond the last unit. */
ALWAYS ptrdiff_t row_of(const gate_order *order, int span, ptrdiff_t H, ptrdiff_t block, int vector, ptrdiff_t lane)
{
    const ptrdiff_t unit = (block * span + (span > 1 ? vector : 0)) * W + lane;
    return unit < H ? order->gate[vector] * H + unit : -1;
}

/* w [gates * H, columns], scaled, to vectors `first` on of [blocks][columns][stride][W]; what is beyond H stays. */
static void pack_gates(const cell_layout *l, const gate_order *order, ptrdiff_t H, ptrdiff_t columns, const float *w,
                       float *to, int first, int stride)
{
    for (ptrdiff_t block = 0; block < l->blocks; block++)
        for (int v = 0; v < order->count; v++)
            for (ptrdiff_t lane = 0; lane < W; lane++) {
                const ptrdiff_t row = row_of(order, l->span, H, block, v, lane);
                float *values = to + (block * columns * stride + first + v) * W + lane;
                if (row >= 0)
                    for (ptrdiff_t k = 0; k < columns; k++)
                        values[k * stride * W] = order->scale[order->gate[v]] * w[row * columns + k];
            }
}

/* The way back, for sums of gradients. */
static void unpack_gates(const cell_layout *l, const gate_order *order, ptrdiff_t H, ptrdiff_t columns,
                         const float *from, int first, int stride, float *w)
{
    for (ptrdiff_t block = 0; block < l->blocks; block++)
        for (int v = 0; v < order->count; v++)
            for (ptrdiff_t lane = 0; lane < W; lane++) {
                const ptrdiff_t row = row_of(order, l->span, H, block, v, lane);
                const float *values = from + (block * columns * stride + first + v) * W + lane;
                if (row >= 0)
                    for (ptrdiff_t k = 0; k < columns; k++)
                        w[row * columns + k] = values[k * stride * W];
            }
}

/* Rows of w, ld_row apart, for `multiply`, in groups of up to four vectors of outputs, which are ld_output apart. With
 * an order the rows are as dz has them, by block, vector and lane; without, as w has them. Row -1 is of zeros. */
static void pack_rows(const gate_order *order, int span, ptrdiff_t depth, ptrdiff_t outputs, ptrdiff_t H,
                      const float *w, ptrdiff_t ld_row, ptrdiff_t ld_output, float *to)
{
    for (ptrdiff_t done = 0, wide; done < outputs; done += wide) {
        wide = padded(outputs - done) < 4 * W ? padded(outputs - done) : 4 * W;
        const ptrdiff_t count = outputs - done < wide ? outputs - done : wide;
        for (ptrdiff_t k = 0; k < depth; k++, to += wide) {
            ptrdiff_t row = k < H ? k : -1;
            if (order) {
                const ptrdiff_t vector = k / W;
                row = row_of(order, span, H, vector / order->count, (int)(vector % order->count), k % W);
            }
            memset(to, 0, wide * sizeof(float));
            if (row >= 0)
                for (ptrdiff_t n = 0; n < count; n++)
                    to[n] = w[row * ld_row + (done + n) * ld_output];
        }
    }
}

/* Sums of a plain matrix [R, H] as `add_outer` leaves them, [H / 4W][R][4][W], to w, whose rows are ld_r apart, its
 * columns ld_h: either w is R by H, or its transpose is. */
static void unpack_sums(ptrdiff_t R, ptrdiff_t H, const float *sums, float *w, ptrdiff_t ld_r, ptrdiff_t ld_h)
{
    for (ptrdiff_t done = 0, wide; done < H; done += wide) {
        wide = padded(H - done) < 4 * W ? padded(H - done) : 4 * W;
        for (ptrdiff_t r = 0; r < R; r++)
            for (ptrdiff_t n = 0; n < wide && done + n < H; n++)
                w[r * ld_r + (done + n) * ld_h] = sums[done * R + r * wide + n];
    }
}

#endif
