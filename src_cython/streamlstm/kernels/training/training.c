/* A layer of any cell for training, one level of the instruction set; LEVEL names it, training.h says what lies where.
 *
 *   forward     z_t = x_t W_ih^T + fed_t W_hh^T + bias, in tiles that end in the gates (cell_tiles.h)
 *   backward    d_h = dy_t + m dz_(t+1) W_hh, and what goes past the products        dz_t: lstm.h, gru.h, rnn.h
 *   once a chunk of steps, while dz is in cache:
 *               dx = dz W_ih        dW_ih = sum dz^T x        dW_hh = sum dz^T fed
 *
 *   projection          h_t = (o tanh(c_t)) W_hr^T      d_m = d_h W_hr         dW_hr = sum d_h^T (o tanh(c))
 *   gru_reset_before    z_n gets (r fed) W_n^T          d_reset = dn W_n       dW_n = sum dn^T (r fed)
 */
#include "training.h"

#include "levels/denormals.h"
#include "levels/scratch.h"
#include "blocks.h"
#include "cell_tiles.h"

/* Bytes of a chunk's dz: well within a second-level cache, beside the weights and their gradients. */
enum { CHUNK_BYTES = 128 * 1024, MOST_STEPS = 16 };

static const gate_order LSTM_ORDER = {4, {0, 1, 2, 3}, {-LOG2_E, -LOG2_E, -2 * LOG2_E, -LOG2_E}};
static const gate_order GRU_X = {3, {2, 0, 1}, {-LOG2_E, -LOG2_E, -2 * LOG2_E}}; /* n, r, u of r, u, n */
static const gate_order GRU_H = {3, {0, 1, 2}, {-LOG2_E, -LOG2_E, -2 * LOG2_E}}; /* r, u, q */
static const gate_order RESET_BEFORE_H = {2, {0, 1}, {-LOG2_E, -LOG2_E}};
static const gate_order RNN_ORDER = {4, {0, 0, 0, 0}, {-2 * LOG2_E}};
static const gate_order NEW_BIAS = {1, {0}, {-2 * LOG2_E}};
static const gate_order PEEPHOLES = {3, {0, 1, 2}, {-LOG2_E, -LOG2_E, -LOG2_E}};
static const gate_order PLAIN_PEEPHOLES = {3, {0, 1, 2}, {1, 1, 1}};

static int is_gru(const layer_pass *p) { return p->cell == CELL_GRU || p->cell == CELL_GRU_RESET_BEFORE; }

static int kept(enum cell_kind cell) { return cell == CELL_RNN ? 0 : cell == CELL_GRU_RESET_BEFORE ? 3 : 4; }

static cell_layout layout_of(const layer_pass *p)
{
    cell_layout l = {.span = 1, .kept = kept(p->cell), .found = kept(p->cell), .x = LSTM_ORDER, .h = LSTM_ORDER};
    const ptrdiff_t vectors = padded(p->H) / W, groups = (vectors + 3) / 4;
    if (is_gru(p)) {
        l.x = GRU_X;
        l.h = p->cell == CELL_GRU ? GRU_H : RESET_BEFORE_H;
        l.first_h = 1;
    } else if (p->cell == CELL_RNN) {
        l.x = l.h = RNN_ORDER;
        l.span = l.found = l.x.count = l.h.count = (int)((vectors + groups - 1) / groups); /* as equal as can be */
    }
    l.blocks = (vectors + l.span - 1) / l.span;
    l.wide = l.blocks * l.span * W;
    return l;
}

static ptrdiff_t chunk_steps(const layer_pass *p, const cell_layout *l)
{
    const ptrdiff_t steps = CHUNK_BYTES / (ptrdiff_t)(p->B * l->blocks * l->found * W * sizeof(float));
    return steps < 1 ? 1 : steps > MOST_STEPS ? MOST_STEPS : steps;
}

/* ---- scratch ---- */

typedef struct {
    float *w_x, *w_h;             /* forward, scaled: [blocks][I][x.count][W], [blocks][R][h.count][W] */
    float *bias, *peephole;       /* [blocks][found][W], [blocks][3][W] */
    float *back_x, *back_h;       /* backward: packed for products of dz */
    float *aside;                 /* for products with W_hr^T or W_n^T, or with W_hr or W_n */
    float *dz;                    /* [blocks][chunk * B][found][W] */
    float *sum_x, *sum_h;         /* as w_x, w_h */
    float *sum_bias, *sum_peephole;
    float *past;                  /* [blocks][B][W], of the GRU kinds */
    float *d_out;                 /* [chunk * B, R] of h, where there is a projection; [chunk * B, wide] of n */
    float *row;                   /* [B, wide]: d_m of a projection; the product of r fed, then d_reset */
    float *sum_aside;             /* [wide / 4W][R][4][W]: of W_hr, or W_n */
} areas;

static ptrdiff_t divide_scratch(const layer_pass *p, const cell_layout *l, float *base, areas *a)
{
    const ptrdiff_t rows = chunk_steps(p, l) * p->B, lanes = l->blocks * W;
    const int is_before = p->cell == CELL_GRU_RESET_BEFORE;
    cut c = {base, 0};
    a->w_x = cut_off(&c, p->inputs * l->x.count * lanes);
    a->w_h = cut_off(&c, p->R * l->h.count * lanes);
    a->bias = cut_off(&c, l->found * lanes);
    a->peephole = cut_off(&c, 3 * lanes);
    a->back_x = cut_off(&c, padded(p->inputs) * l->x.count * lanes);
    a->back_h = cut_off(&c, padded(p->R) * l->h.count * lanes);
    a->dz = cut_off(&c, rows * l->found * lanes);
    a->sum_x = cut_off(&c, p->inputs * l->x.count * lanes);
    a->sum_h = cut_off(&c, p->R * l->h.count * lanes);
    a->sum_bias = cut_off(&c, l->found * lanes);
    a->sum_peephole = cut_off(&c, 3 * lanes);
    if (is_gru(p))
        a->past = cut_off(&c, p->B * lanes);
    if (p->w_hr || is_before) {
        a->aside = cut_off(&c, padded(p->R) * l->wide);
        a->d_out = cut_off(&c, rows * (is_before ? l->wide : p->R));
        a->row = cut_off(&c, p->B * l->wide);
        a->sum_aside = cut_off(&c, p->R * l->wide);
    }
    return c.used;
}

static ptrdiff_t scratch_size(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    areas a;
    return divide_scratch(p, &l, NULL, &a);
}

/* W_n of gru_reset_before, [H, R]: the last rows of W_hh. */
static const float *new_weights(const layer_pass *p) { return p->w_hh + 2 * p->H * p->R; }

/* ---- forward ---- */

static block_step step_of(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t, ptrdiff_t block)
{
    const ptrdiff_t offset = (t * l->blocks + block) * p->B * W, unit = block * l->span * W;
    const ptrdiff_t at = t * p->B * p->R + unit;
    block_step g = {
        .x = {.x = p->x + t * p->B * p->inputs, .w = a->w_x + block * W * p->inputs * l->x.count, .x_row = p->inputs,
              .depth = p->inputs},
        .h = {.x = p->fed + t * p->B * p->R, .w = a->w_h + block * W * p->R * l->h.count, .x_row = p->R, .depth = p->R},
        .bias = a->bias + block * W * l->found, .ld = p->R, .units = p->R - unit,
        .out = p->h + at + p->B * p->R, .h_prev = p->h + at, .fed = p->fed + at,
    };
    if (l->kept)
        g.gates = p->gates + offset * l->kept;
    if (p->c) {
        g.c_prev = p->c + offset;
        g.c = p->c + offset + p->B * l->wide;
    }
    if (p->peephole)
        g.peephole = a->peephole + block * W * 3;
    if (p->reset)
        g.reset = p->reset + at;
    if (p->w_hr) {
        g.out = p->unprojected + t * p->B * l->wide + unit;
        g.ld = l->wide;
        g.units = W;
    }
    return g;
}

static void forward_steps(const layer_pass *p, const cell_layout *l, const areas *a)
{
    const ptrdiff_t row_h = p->B * p->R;
    void (*const *tiles)(const block_step *, ptrdiff_t) =
        cell_tiles[p->cell == CELL_RNN ? TILE_RNN_1 + l->span - 1 : (int)p->cell];
    for (ptrdiff_t t = 0; t < p->T; t++) {
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->fed[t * row_h + n] = p->mask[n] * p->h[t * row_h + n];
        fetch_list next = {.count = 0};
        if (t + 1 < p->T)
            add_region(&next, p->x + (t + 1) * p->B * p->inputs, p->B * p->inputs);
        for (ptrdiff_t block = 0; block < l->blocks; block++) {
            block_step g = step_of(p, l, a, t, block);
            for (ptrdiff_t row = 0, size; row < p->B; row += size) {
                size = next_rows(p->B - row);
                fetch_beside(&next, &g.x, p->inputs);
                tiles[size - 1](&g, row);
            }
        }
        if (p->w_hr)
            multiply(p->B, (product){{.x = p->unprojected + t * p->B * l->wide, .w = a->aside, .x_row = l->wide,
                                      .depth = l->wide, .segments = 1}, .y = p->h + (t + 1) * row_h, .ld_y = p->R},
                     p->R, NULL);
        if (p->reset) {
            multiply(p->B, (product){{.x = p->reset + t * row_h, .w = a->aside, .x_row = p->R, .depth = p->R,
                                      .segments = 1}, .y = a->row, .ld_y = l->wide}, l->wide, NULL);
            for (ptrdiff_t block = 0; block < l->blocks; block++) {
                const block_step g = step_of(p, l, a, t, block);
                finish_new(p->B, a->row + block * W, l->wide, &g);
            }
        }
    }
}

static void forward(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    const ptrdiff_t lanes = l.blocks * W;
    areas a;
    divide_scratch(p, &l, p->scratch, &a);
    memset(a.w_x, 0, p->inputs * l.x.count * lanes * sizeof(float));
    memset(a.w_h, 0, p->R * l.h.count * lanes * sizeof(float));
    memset(a.bias, 0, l.found * lanes * sizeof(float));
    pack_gates(&l, &l.x, p->H, p->inputs, p->w_ih, a.w_x, 0, l.x.count);
    pack_gates(&l, &l.h, p->H, p->R, p->w_hh, a.w_h, 0, l.h.count);
    pack_gates(&l, &l.x, p->H, 1, p->bias, a.bias, 0, l.found);
    if (p->bias_hn)
        pack_gates(&l, &NEW_BIAS, p->H, 1, p->bias_hn, a.bias, 3, l.found);
    if (p->peephole) {
        memset(a.peephole, 0, 3 * lanes * sizeof(float));
        pack_gates(&l, &PEEPHOLES, p->H, 1, p->peephole, a.peephole, 0, 3);
    }
    if (p->w_hr)
        pack_rows(NULL, 1, l.wide, p->R, p->H, p->w_hr, 1, p->H, a.aside);
    if (p->reset)
        pack_rows(NULL, 1, p->R, p->H, p->R, new_weights(p), 1, p->R, a.aside);
    forward_steps(p, &l, &a);
}

/* ---- backward ---- */

/* dW [R, columns] of a plain matrix: the sums over a chunk's rows of x [rows, R] times w [rows, wide]. */
static void sum_aside(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t rows, const float *x,
                      const float *w)
{
    const ptrdiff_t vectors = l->wide / W;
    for (ptrdiff_t done = 0, count; done < vectors; done += count) {
        count = vectors - done < 4 ? vectors - done : 4;
        const operands of = {.x = x, .w = w + done * W, .x_k = p->R, .w_k = l->wide, .depth = rows, .segments = 1};
        add_outer(p->R, (int)count, (outer){of, a->sum_aside + done * W * p->R});
    }
}

/* What a chunk of `steps` steps from t on adds to the gradients of the weights, and its d_x. */
static void sum_chunk(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t, ptrdiff_t steps)
{
    const ptrdiff_t vector = l->found * W, segment = chunk_steps(p, l) * p->B * vector;
    const ptrdiff_t rows = steps * p->B, at = t * p->B;
    for (ptrdiff_t block = 0; block < l->blocks; block++) {
        operands of = {.w = a->dz + block * segment, .w_k = vector, .depth = rows, .segments = 1};
        of.x = p->x + at * p->inputs;
        of.x_k = p->inputs;
        add_outer(p->inputs, l->x.count, (outer){of, a->sum_x + block * W * p->inputs * l->x.count});
        of.w += l->first_h * W;
        of.x = p->fed + at * p->R;
        of.x_k = p->R;
        add_outer(p->R, l->h.count, (outer){of, a->sum_h + block * W * p->R * l->h.count});
    }
    if (p->d_x)
        multiply(rows, (product){{.x = a->dz, .w = a->back_x, .x_row = vector, .x_segment = segment,
                                  .depth = l->x.count * W, .segments = l->blocks},
                                 .y = p->d_x + at * p->inputs, .ld_y = p->inputs}, p->inputs, NULL);
    if (p->w_hr)
        sum_aside(p, l, a, rows, a->d_out, p->unprojected + at * l->wide);
    if (p->reset)
        sum_aside(p, l, a, rows, p->reset + at * p->R, a->d_out);
}

/* dz of step t, its gradients of the biases and peepholes, and what goes back past the products. */
static void differentiate(const layer_pass *p, const cell_layout *l, const areas *a, ptrdiff_t t)
{
    const ptrdiff_t chunk = chunk_steps(p, l), in_chunk = t % chunk * p->B, row_h = p->B * p->R;
    const float *d_y = p->d_y + t * row_h;
    float *d_new = p->reset ? a->d_out + in_chunk * l->wide : NULL;
    if (p->w_hr) {
        float *d_out = a->d_out + in_chunk * p->R;
        for (ptrdiff_t n = 0; n < row_h; n++)
            d_out[n] = d_y[n] + p->d_h[n];
        multiply(p->B, (product){{.x = d_out, .w = a->aside, .x_row = p->R, .depth = p->R, .segments = 1},
                                 .y = a->row, .ld_y = l->wide}, l->wide, NULL);
    }
    for (int part = 0; part < (p->reset ? 2 : 1); part++) {
        if (part == 1)
            multiply(p->B, (product){{.x = d_new, .w = a->aside, .x_row = l->wide, .depth = p->H, .segments = 1},
                                     .y = a->row, .ld_y = l->wide}, l->wide, NULL);
        for (ptrdiff_t block = 0; block < l->blocks; block++) {
            const ptrdiff_t offset = (t * l->blocks + block) * p->B * W, unit = block * l->span * W;
            const ptrdiff_t at = t * row_h + unit;
            block_gradients g = {
                .B = p->B, .ld = p->R, .units = p->R - unit, .d_y = d_y + unit, .d_h = p->d_h + unit,
                .dz = a->dz + (block * chunk * p->B + in_chunk) * l->found * W,
                .sum_bias = a->sum_bias + block * W * l->found,
                .h = p->h + at + row_h, .h_prev = p->h + at, .fed = p->fed + at,
            };
            if (l->kept)
                g.gates = p->gates + offset * l->kept;
            if (p->c) {
                g.c_prev = p->c + offset;
                g.c = p->c + offset + p->B * l->wide;
                g.d_c = p->d_c + block * p->B * W;
            }
            if (p->peephole) {
                g.peephole = a->peephole + block * W * 3;
                g.sum_peephole = a->sum_peephole + block * W * 3;
            }
            if (p->w_hr) {
                g.d_y = a->row + unit;
                g.d_h = NULL;
                g.ld = l->wide;
                g.units = W;
            } else if (g.units > W && l->span == 1) {
                g.units = W;
            }
            if (is_gru(p))
                g.past = a->past + block * p->B * W;
            if (p->reset) {
                g.d_new = d_new + unit;
                g.d_reset = a->row + unit;
                g.ld_new = l->wide;
                g.mask = p->mask ? p->mask + unit : NULL;
            }
            if (part == 1)
                differentiate_reset(&g);
            else if (is_gru(p))
                differentiate_mix(p->reset != NULL, &g);
            else if (p->cell == CELL_RNN)
                differentiate_rnn(l->span, &g);
            else
                differentiate_lstm(&g);
        }
    }
}

/* What step t will read, which the products of step t + 1 have fetched. */
static fetch_list wanted_by(const layer_pass *p, const cell_layout *l, ptrdiff_t t)
{
    const ptrdiff_t row_h = p->B * p->R;
    fetch_list list = {.count = 0};
    if (t < 0)
        return list;
    if (l->kept)
        add_region(&list, p->gates + t * p->B * l->kept * l->wide, p->B * l->kept * l->wide);
    if (p->c)
        add_region(&list, p->c + t * p->B * l->wide, p->B * l->wide);
    add_region(&list, p->d_y + t * row_h, row_h);
    add_region(&list, p->fed + t * row_h, row_h);
    add_region(&list, p->x + t * p->B * p->inputs, p->B * p->inputs);
    if (p->mask && !p->c)
        add_region(&list, p->h + t * row_h, row_h);
    if (p->reset)
        add_region(&list, p->reset + t * row_h, row_h);
    return list;
}

static void backward_steps(const layer_pass *p, const cell_layout *l, const areas *a)
{
    const ptrdiff_t chunk = chunk_steps(p, l), segment = chunk * p->B * l->found * W, row_h = p->B * p->R;
    ptrdiff_t last = p->T; /* the end of the chunk at hand */
    for (ptrdiff_t t = p->T - 1; t >= 0; t--) {
        differentiate(p, l, a, t);
        fetch_list next = wanted_by(p, l, t - 1);
        multiply(p->B, (product){{.x = a->dz + (t % chunk * p->B * l->found + l->first_h) * W, .w = a->back_h,
                                  .x_row = l->found * W, .x_segment = segment, .depth = l->h.count * W,
                                  .segments = l->blocks}, .y = p->d_h, .ld_y = p->R}, p->R, &next);
        if (p->mask)
            for (ptrdiff_t n = 0; n < row_h; n++)
                p->d_h[n] *= p->mask[n];
        if (t % chunk == 0) {
            sum_chunk(p, l, a, t, last - t);
            last = t;
        }
    }
    if (is_gru(p))
        for (ptrdiff_t b = 0; b < p->B; b++)
            for (ptrdiff_t unit = 0; unit < p->H; unit++)
                p->d_h[b * p->R + unit] += a->past[(unit / W * p->B + b) * W + unit % W];
}

static void backward(const layer_pass *p)
{
    const cell_layout l = layout_of(p);
    const ptrdiff_t lanes = l.blocks * W;
    areas a;
    divide_scratch(p, &l, p->scratch, &a);
    pack_rows(&l.x, l.span, l.x.count * lanes, p->inputs, p->H, p->w_ih, p->inputs, 1, a.back_x);
    pack_rows(&l.h, l.span, l.h.count * lanes, p->R, p->H, p->w_hh, p->R, 1, a.back_h);
    memset(a.sum_x, 0, p->inputs * l.x.count * lanes * sizeof(float));
    memset(a.sum_h, 0, p->R * l.h.count * lanes * sizeof(float));
    memset(a.sum_bias, 0, l.found * lanes * sizeof(float));
    memset(a.sum_peephole, 0, 3 * lanes * sizeof(float));
    if (is_gru(p))
        memset(a.past, 0, p->B * lanes * sizeof(float));
    if (p->peephole) {
        memset(a.peephole, 0, 3 * lanes * sizeof(float));
        pack_gates(&l, &PLAIN_PEEPHOLES, p->H, 1, p->peephole, a.peephole, 0, 3);
    }
    if (p->w_hr || p->reset) {
        pack_rows(NULL, 1, p->R, p->H, p->R, p->w_hr ? p->w_hr : new_weights(p), p->H, 1, a.aside);
        memset(a.sum_aside, 0, p->R * l.wide * sizeof(float));
    }
    backward_steps(p, &l, &a);
    unpack_gates(&l, &l.x, p->H, p->inputs, a.sum_x, 0, l.x.count, p->d_w_ih);
    unpack_gates(&l, &l.h, p->H, p->R, a.sum_h, 0, l.h.count, p->d_w_hh);
    unpack_gates(&l, &l.x, p->H, 1, a.sum_bias, 0, l.found, p->d_bias);
    if (p->bias_hn)
        unpack_gates(&l, &NEW_BIAS, p->H, 1, a.sum_bias, 3, l.found, p->d_bias_hn);
    if (p->peephole)
        unpack_gates(&l, &PEEPHOLES, p->H, 1, a.sum_peephole, 0, 3, p->d_peephole);
    if (p->w_hr)
        unpack_sums(p->R, p->H, a.sum_aside, p->d_w_hr, p->H, 1);
    if (p->reset)
        unpack_sums(p->R, p->H, a.sum_aside, p->d_w_hh + 2 * p->H * p->R, 1, p->R);
}

/* A gradient that fades away is denormal, and would be a hundred times slower. */
static void run_forward(const layer_pass *p)
{
    const unsigned int control = flush_denormals();
    forward(p);
    restore_denormals(control);
}

static void run_backward(const layer_pass *p)
{
    const unsigned int control = flush_denormals();
    backward(p);
    restore_denormals(control);
}

void LEVEL_NAME(adamw_)(ptrdiff_t n, float *w, const float *gradient, float *first, float *second,
                        const adamw_rates *rates);

const training_path LEVEL_NAME(training_) = {W, kept, scratch_size, run_forward, run_backward, LEVEL_NAME(adamw_)};
