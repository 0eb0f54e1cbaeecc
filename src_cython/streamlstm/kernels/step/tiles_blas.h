/* All rows of a product through BLAS, in blocks of one size: the reference beside the register tiles.
 *
 * The last block is filled up with rows of zeros: every product then has the same shape and BLAS sums in the same order,
 * so a stream's bits do not depend on the size of the batch. Blocks of eight stay below the size from which OpenBLAS
 * packs the weights anew at every call (rows * outputs * inputs = 1e6); the inputs are split where they do not.
 * Weights are packed [inputs][blocks][gates][W].
 */
#ifndef STREAMLSTM_TILES_BLAS_H
#define STREAMLSTM_TILES_BLAS_H

#include "tile.h"

enum { FEW = 4, BLOCK_ROWS = 8, PACKING_CLIFF = 1000000 };

/* y [BLOCK_ROWS, n] = x [BLOCK_ROWS, k] w [k, n] */
static void multiply_block(int n, ptrdiff_t k, const float *x, const float *w, float *y)
{
    float one = 1.0f, zero = 0.0f;
    int rows = BLOCK_ROWS, ld = (int)k;
    ptrdiff_t slice = PACKING_CLIFF / (BLOCK_ROWS * (ptrdiff_t)n), done = 0;
    slice = slice < 1 ? 1 : slice;
    while (done < k) {
        int inputs = (int)(k - done < slice ? k - done : slice);
        fused_sgemm((char *)"N", (char *)"N", &n, &rows, &inputs, &one, (float *)w + done * n, &n, (float *)x + done, &ld,
                    done ? &one : &zero, y, &n);
        done += inputs;
    }
}

static void run_tiles(int kind, const tile *t, ptrdiff_t rows, ptrdiff_t blocks, const fetch *next)
{
    const int count = accumulators_of(kind);
    const int x_gates = t->k_x ? x_gates_of(kind) : 0, h_gates = t->k_h ? h_gates_of(kind) : 0;
    const ptrdiff_t wide_x = blocks * x_gates * W, wide_h = blocks * h_gates * W;
    float *x = t->blas, *y_x = x + BLOCK_ROWS * (t->k_x > t->k_h ? t->k_x : t->k_h), *y_h = y_x + BLOCK_ROWS * wide_x;
    (void)next;
    for (ptrdiff_t row = 0; row < rows; row += BLOCK_ROWS) {
        const ptrdiff_t size = rows - row < BLOCK_ROWS ? rows - row : BLOCK_ROWS;
        const struct { int gates; ptrdiff_t k, ld, wide; const float *from, *w; float *y; } products[2] = {
            {x_gates, t->k_x, t->ld_x, wide_x, t->x, t->w_x, y_x}, {h_gates, t->k_h, t->ld_h, wide_h, t->h, t->w_h, y_h}};
        for (int i = 0; i < 2; i++) {
            if (!products[i].gates)
                continue;
            const ptrdiff_t k = products[i].k;
            for (ptrdiff_t r = 0; r < size; r++)
                memcpy(x + r * k, products[i].from + (row + r) * products[i].ld, k * sizeof(float));
            memset(x + size * k, 0, (BLOCK_ROWS - size) * k * sizeof(float));
            multiply_block((int)products[i].wide, k, x, products[i].w, products[i].y);
        }
        for (ptrdiff_t r = 0; r < size; r++)
            for (ptrdiff_t block = 0; block < blocks; block++) {
                vec z[1][4];
                for (int a = 0; a < count; a++)
                    z[0][a] = v_load(t->init + (row + r) * t->ld_init + (block * count + a) * W);
                for (int g = 0; g < x_gates; g++)
                    z[0][g] = z[0][g] + v_load(y_x + r * wide_x + (block * x_gates + g) * W);
                for (int g = 0; g < h_gates; g++) {
                    const int a = accumulator_of(kind, g);
                    z[0][a] = z[0][a] + v_load(y_h + r * wide_h + (block * h_gates + g) * W);
                }
                finish(kind, t, 1, 1, row + r, block, z);
            }
    }
}

#endif
