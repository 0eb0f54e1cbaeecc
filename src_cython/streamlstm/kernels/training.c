/* The LSTM kinds for training, one level of the instruction set; FUSED_PATH names it, training.h says what lies where.
 *
 *   forward     z_t = x_t W_ih^T + fed_t W_hh^T + bias, in tiles that end in the gates (training_gates.h)
 *               h_t = o tanh(c_t), or (o tanh(c_t)) W_hr^T
 *   backward    d_h = dy_t + m dz_(t+1) W_hh        d_m = d_h, or d_h W_hr        dz_t: training_gates.h
 *   once a chunk of steps, while dz is in cache:
 *               dx = dz W_ih        dW_ih = sum dz^T x        dW_hh = sum dz^T fed        dW_hr = sum d_h^T (o tanh(c))
 */
#include "training.h"

#include "training_tile.h"

#include "training_gates.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Bytes of a chunk's dz: well within a second-level cache, beside the weights and their gradients. */
enum { CHUNK_BYTES = 128 * 1024, MOST_STEPS = 16 };

static const float SCALES[4] = {-LOG2_E, -LOG2_E, -2 * LOG2_E, -LOG2_E}; /* of i, f, g, o: sums are arguments of 2^x */

static ptrdiff_t chunk_steps(const lstm_pass *p)
{
    const ptrdiff_t steps = CHUNK_BYTES / (ptrdiff_t)(p->B * 4 * padded(p->H) * sizeof(float));
    return steps < 1 ? 1 : steps > MOST_STEPS ? MOST_STEPS : steps;
}

/* ---- scratch ---- */

typedef struct {
    float *w_x, *w_h, *bias, *peephole; /* forward: [blocks][I or R][4][W], [blocks][4][W], [blocks][3][W], scaled */
    float *back_x, *back_h;             /* backward: packed for products of dz */
    float *project;                     /* for products with W_hr^T, or with W_hr */
    float *dz;                          /* [blocks][chunk * B][4][W] */
    float *sum_x, *sum_h, *sum_bias;    /* as w_x, w_h and bias */
    float *sum_peephole;                /* [blocks][3][W] */
    float *d_out, *d_m;                 /* [chunk * B, R], [B, padded H] of a projection */
    float *sum_project;                 /* [H / 4W][R][4][W] */
} areas;

static ptrdiff_t divide_scratch(const lstm_pass *p, float *base, areas *a)
{
    const ptrdiff_t H = padded(p->H), rows = chunk_steps(p) * p->B;
    ptrdiff_t used = 0;
#define TAKE(field, floats) (a->field = base + used, used += (floats + 15) / 16 * 16)
    TAKE(w_x, p->inputs * 4 * H);
    TAKE(w_h, p->R * 4 * H);
    TAKE(bias, 4 * H);
    TAKE(peephole, 3 * H);
    TAKE(back_x, padded(p->inputs) * 4 * H);
    TAKE(back_h, padded(p->R) * 4 * H);
    TAKE(dz, rows * 4 * H);
    TAKE(sum_x, p->inputs * 4 * H);
    TAKE(sum_h, p->R * 4 * H);
    TAKE(sum_bias, 4 * H);
    TAKE(sum_peephole, 3 * H);
    if (p->w_hr) {
        TAKE(project, padded(p->R) * H);
        TAKE(d_out, rows * p->R);
        TAKE(d_m, p->B * H);
        TAKE(sum_project, p->R * H);
    }
#undef TAKE
    return used;
}

static ptrdiff_t scratch_size(const lstm_pass *p)
{
    areas a;
    return divide_scratch(p, NULL, &a);
}

/* ---- packing ---- */

/* w [count * H, columns] -> [blocks][columns][count][W], scaled; units beyond the last zero. */
static void pack_gates(ptrdiff_t count, ptrdiff_t H, ptrdiff_t columns, const float *w, const float *scales, float *to)
{
    memset(to, 0, count * padded(H) * columns * sizeof(float));
    for (ptrdiff_t g = 0; g < count; g++)
        for (ptrdiff_t unit = 0; unit < H; unit++) {
            float *lane = to + (unit / W * columns * count + g) * W + unit % W;
            for (ptrdiff_t k = 0; k < columns; k++)
                lane[k * count * W] = scales[g] * w[(g * H + unit) * columns + k];
        }
}

/* The way back, for sums of gradients. */
static void unpack_gates(ptrdiff_t count, ptrdiff_t H, ptrdiff_t columns, const float *from, float *w)
{
    for (ptrdiff_t g = 0; g < count; g++)
        for (ptrdiff_t unit = 0; unit < H; unit++) {
            const float *lane = from + (unit / W * columns * count + g) * W + unit % W;
            for (ptrdiff_t k = 0; k < columns; k++)
                w[(g * H + unit) * columns + k] = lane[k * count * W];
        }
}

/* Rows of w, `ld` apart, for `multiply`: row k of [depth, outputs] is w's row rows[k], or none. */
static void pack_rows(ptrdiff_t depth, ptrdiff_t outputs, ptrdiff_t (*row_of)(ptrdiff_t k, ptrdiff_t H), ptrdiff_t H,
                      const float *w, ptrdiff_t ld_row, ptrdiff_t ld_output, float *to)
{
    for (ptrdiff_t done = 0, wide; done < outputs; done += wide) {
        wide = padded(outputs - done) < 4 * W ? padded(outputs - done) : 4 * W;
        const ptrdiff_t count = outputs - done < wide ? outputs - done : wide;
        for (ptrdiff_t k = 0; k < depth; k++, to += wide) {
            const ptrdiff_t row = row_of(k, H);
            memset(to, 0, wide * sizeof(float));
            if (row >= 0)
                for (ptrdiff_t n = 0; n < count; n++)
                    to[n] = w[row * ld_row + (done + n) * ld_output];
        }
    }
}

/* Row of the gate matrices that dz's column k is of: dz is by block, gate and lane. */
static ptrdiff_t gate_row(ptrdiff_t k, ptrdiff_t H)
{
    const ptrdiff_t unit = k / (4 * W) * W + k % W;
    return unit < H ? k % (4 * W) / W * H + unit : -1;
}

static ptrdiff_t same_row(ptrdiff_t k, ptrdiff_t H) { return k < H ? k : -1; }

/* ---- forward ---- */

static void forward_steps(const lstm_pass *p, const areas *a)
{
    const ptrdiff_t H = padded(p->H), blocks = H / W, row_h = p->B * p->R;
    gate_tile g = {.peephole = p->peephole ? a->peephole : NULL, .B = p->B};
    for (ptrdiff_t t = 0; t < p->T; t++) {
        const float *fed = p->fed + t * row_h;
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->fed[t * row_h + n] = p->mask[n] * p->h[t * row_h + n];
        float *h = p->h + (t + 1) * row_h, *m = p->w_hr ? p->unprojected + t * p->B * H : h;
        fetch_list next = {.count = 0};
        if (t + 1 < p->T)
            add_region(&next, p->x + (t + 1) * p->B * p->inputs, p->B * p->inputs);
        for (ptrdiff_t block = 0; block < blocks; block++) {
            const ptrdiff_t place = (t * blocks + block) * p->B * W, unit = block * W;
            g.x = (operands){.x = p->x + t * p->B * p->inputs, .w = a->w_x + unit * p->inputs * 4, .x_row = p->inputs,
                             .x_k = 1, .w_k = 4 * W, .depth = p->inputs, .segments = 1};
            g.h = (operands){.x = fed, .w = a->w_h + unit * p->R * 4, .x_row = p->R, .x_k = 1, .w_k = 4 * W,
                             .depth = p->R, .segments = 1};
            g.bias = a->bias + unit * 4;
            g.peephole = p->peephole ? a->peephole + unit * 3 : NULL;
            g.gates = p->gates + place * 4;
            g.c_prev = p->c + place;
            g.c = p->c + place + p->B * H;
            g.m = m + unit;
            g.ld_m = p->w_hr ? H : p->R;
            g.units = p->w_hr || p->R - unit > W ? W : p->R - unit;
            for (ptrdiff_t row = 0, size; row < p->B; row += size) {
                size = next_rows(p->B - row);
                fetch_beside(&next, &g.x, p->inputs);
                gate_tiles[size - 1](&g, row);
            }
        }
        if (p->w_hr)
            multiply(p->B, (product){{.x = m, .w = a->project, .x_row = H, .depth = H, .segments = 1}, .y = h,
                                     .ld_y = p->R}, p->R, NULL);
    }
}

static void forward(const lstm_pass *p)
{
    areas a;
    divide_scratch(p, p->scratch, &a);
    pack_gates(4, p->H, p->inputs, p->w_ih, SCALES, a.w_x);
    pack_gates(4, p->H, p->R, p->w_hh, SCALES, a.w_h);
    pack_gates(4, p->H, 1, p->bias, SCALES, a.bias);
    if (p->peephole)
        pack_gates(3, p->H, 1, p->peephole, (const float[]){-LOG2_E, -LOG2_E, -LOG2_E}, a.peephole);
    if (p->w_hr)
        pack_rows(padded(p->H), p->R, same_row, p->H, p->w_hr, 1, p->H, a.project);
    forward_steps(p, &a);
}

/* ---- backward ---- */

/* What a chunk of `steps` steps from t on adds to the gradients of the weights, and its d_x. */
static void sum_chunk(const lstm_pass *p, const areas *a, ptrdiff_t t, ptrdiff_t steps)
{
    const ptrdiff_t H = padded(p->H), blocks = H / W, room = chunk_steps(p) * p->B * 4 * W, rows = steps * p->B;
    const ptrdiff_t at = t * p->B;
    for (ptrdiff_t block = 0; block < blocks; block++) {
        operands of = {.w = a->dz + block * room, .w_k = 4 * W, .depth = rows, .segments = 1};
        of.x = p->x + at * p->inputs;
        of.x_k = p->inputs;
        add_outer(p->inputs, 4, (outer){of, a->sum_x + block * W * p->inputs * 4});
        of.x = p->fed + at * p->R;
        of.x_k = p->R;
        add_outer(p->R, 4, (outer){of, a->sum_h + block * W * p->R * 4});
    }
    if (p->d_x)
        multiply(rows, (product){{.x = a->dz, .w = a->back_x, .x_row = 4 * W, .x_segment = room, .depth = 4 * W,
                                  .segments = blocks}, .y = p->d_x + at * p->inputs, .ld_y = p->inputs}, p->inputs, NULL);
    if (p->w_hr)
        for (ptrdiff_t done = 0, vectors; done < blocks; done += vectors) {
            vectors = blocks - done < 4 ? blocks - done : 4;
            const operands of = {.x = a->d_out, .w = p->unprojected + at * H + done * W, .x_k = p->R, .w_k = H,
                                 .depth = rows, .segments = 1};
            add_outer(p->R, (int)vectors, (outer){of, a->sum_project + done * W * p->R});
        }
}

static void backward_steps(const lstm_pass *p, const areas *a)
{
    const ptrdiff_t H = padded(p->H), blocks = H / W, chunk = chunk_steps(p), room = chunk * p->B * 4 * W;
    const ptrdiff_t row_h = p->B * p->R;
    ptrdiff_t last = p->T; /* the end of the chunk at hand */
    for (ptrdiff_t t = p->T - 1; t >= 0; t--) {
        const ptrdiff_t in_chunk = t % chunk * p->B;
        const float *d_y = p->d_y + t * row_h, *d_h = p->d_h;
        if (p->w_hr) {
            float *d_out = a->d_out + in_chunk * p->R;
            for (ptrdiff_t n = 0; n < row_h; n++)
                d_out[n] = d_y[n] + d_h[n];
            multiply(p->B, (product){{.x = d_out, .w = a->project, .x_row = p->R, .depth = p->R, .segments = 1},
                                     .y = a->d_m, .ld_y = H}, H, NULL);
        }
        for (ptrdiff_t block = 0; block < blocks; block++) {
            const ptrdiff_t place = (t * blocks + block) * p->B * W, unit = block * W;
            const gate_gradients g = {
                .B = p->B, .gates = p->gates + place * 4, .c_prev = p->c + place, .c = p->c + place + p->B * H,
                .d_y = p->w_hr ? a->d_m + unit : d_y + unit, .d_h = p->w_hr ? NULL : d_h + unit,
                .ld = p->w_hr ? H : p->R, .units = p->w_hr || p->R - unit > W ? W : p->R - unit,
                .peephole = p->peephole ? a->peephole + 3 * unit : NULL, .d_c = p->d_c + block * p->B * W,
                .dz = a->dz + block * room + in_chunk * 4 * W, .sum_bias = a->sum_bias + unit * 4,
                .sum_peephole = p->peephole ? a->sum_peephole + unit * 3 : NULL,
            };
            differentiate_gates(&g);
        }
        fetch_list next = {.count = 0};
        if (t > 0) {
            add_region(&next, p->gates + (t - 1) * p->B * 4 * H, p->B * 4 * H);
            add_region(&next, p->c + (t - 1) * p->B * H, p->B * H);
            add_region(&next, d_y - row_h, row_h);
            add_region(&next, p->fed + (t - 1) * row_h, row_h);
            add_region(&next, p->x + (t - 1) * p->B * p->inputs, p->B * p->inputs);
        }
        multiply(p->B, (product){{.x = a->dz + in_chunk * 4 * W, .w = a->back_h, .x_row = 4 * W, .x_segment = room,
                                  .depth = 4 * W, .segments = blocks}, .y = p->d_h, .ld_y = p->R}, p->R, &next);
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->d_h[n] *= p->mask[n];
        if (t % chunk == 0) {
            sum_chunk(p, a, t, last - t);
            last = t;
        }
    }
}

static void backward(const lstm_pass *p)
{
    static const float ONES[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    const ptrdiff_t H = padded(p->H);
    areas a;
    divide_scratch(p, p->scratch, &a);
    pack_rows(4 * H, p->inputs, gate_row, p->H, p->w_ih, p->inputs, 1, a.back_x);
    pack_rows(4 * H, p->R, gate_row, p->H, p->w_hh, p->R, 1, a.back_h);
    memset(a.sum_x, 0, p->inputs * 4 * H * sizeof(float));
    memset(a.sum_h, 0, p->R * 4 * H * sizeof(float));
    memset(a.sum_bias, 0, 4 * H * sizeof(float));
    memset(a.sum_peephole, 0, 3 * H * sizeof(float));
    if (p->peephole)
        pack_gates(3, p->H, 1, p->peephole, ONES, a.peephole);
    if (p->w_hr) {
        pack_rows(p->R, p->H, same_row, p->R, p->w_hr, p->H, 1, a.project);
        memset(a.sum_project, 0, p->R * H * sizeof(float));
    }
    backward_steps(p, &a);
    unpack_gates(4, p->H, p->inputs, a.sum_x, p->d_w_ih);
    unpack_gates(4, p->H, p->R, a.sum_h, p->d_w_hh);
    unpack_gates(4, p->H, 1, a.sum_bias, p->d_bias);
    if (p->peephole)
        unpack_gates(3, p->H, 1, a.sum_peephole, p->d_peephole);
    if (p->w_hr)
        for (ptrdiff_t done = 0, wide; done < H; done += wide) {
            wide = H - done < 4 * W ? H - done : 4 * W;
            for (ptrdiff_t r = 0; r < p->R; r++)
                for (ptrdiff_t n = 0; n < wide && done + n < p->H; n++)
                    p->d_w_hr[r * p->H + done + n] = a.sum_project[done * p->R + r * wide + n];
        }
}

/* Run a pass with denormals as zero: a gradient that fades away would be a hundred times slower. */
static void flush_denormals(void (*run)(const lstm_pass *), const lstm_pass *p)
{
#if defined(__x86_64__)
    const unsigned int control = _mm_getcsr();
    _mm_setcsr(control | 0x8040);
    run(p);
    _mm_setcsr(control);
#else
    run(p);
#endif
}

static void run_forward(const lstm_pass *p) { flush_denormals(forward, p); }
static void run_backward(const lstm_pass *p) { flush_denormals(backward, p); }

#define JOINED(a, b) a##b
#define JOIN(a, b) JOINED(a, b)

const training_path JOIN(training_, FUSED_PATH) = {W, scratch_size, run_forward, run_backward};
