/* The step of one instruction-set level, through register tiles or BLAS; LEVEL names it. See fused.h for what is
 * packed how.
 *
 * A panel of streams goes through all layers while its states are in cache. By layer, in time:
 *
 *   many streams   one step at a time, x and h in one tile
 *   few streams    their products with x for several steps first, in full tiles; then step by step with h alone
 *
 * Both add the same numbers in the same order, so a stream's bits are the same in either.
 */
#include "fused.h"

#include "levels/denormals.h"
#include "arena/half.h"
#include "levels/scratch.h"
#ifdef FUSED_BLAS
#include "tiles_blas.h"
#else
#include "tiles_registers.h"
#endif

/* Copy floats, a multiple of W. */
ALWAYS void copy(ptrdiff_t count, const float *from, float *to)
{
    for (ptrdiff_t i = 0; i < count; i += W)
        v_store(to + i, v_load(from + i));
}

/* ---- products ---- */

/* y [rows, outputs rounded up to W]; x [rows, inputs], its rows readable and zero up to a multiple of W when is_dot. */
static void multiply(const fused_product *p, ptrdiff_t rows, const float *x, ptrdiff_t ld_x, float *y, ptrdiff_t ld_y,
                     float *blas)
{
    if (p->is_dot) {
        const ptrdiff_t length = padded(p->inputs);
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t o = 0; o < p->outputs; o++) {
                vec sum = v_set(0.0f);
                for (ptrdiff_t k = 0; k < length; k += W)
                    sum = v_fma(v_load(p->w + o * length + k), v_load(x + r * ld_x + k), sum);
                y[r * ld_y + o] = v_sum(sum) + p->bias[o];
            }
        return;
    }
    const ptrdiff_t vectors = padded(p->outputs) / W, blocks = vectors / 4, rest = vectors % 4, done = 4 * blocks * W;
    tile t = {.init = p->bias, .w_x = p->w, .x = x, .k_x = p->inputs, .ld_x = ld_x, .out = y, .ld_out = ld_y,
              .blas = blas};
    if (blocks)
        run_tiles(RAW4, &t, rows, blocks, NULL);
    if (rest) {
        t.init += done;
        t.w_x += done * p->inputs;
        t.out += done;
        run_tiles(RAW1 + (int)rest - 1, &t, rows, 1, NULL);
    }
}

/* ---- one layer, one step ---- */

typedef struct {
    float *x;       /* [PANEL, I] the panel's samples of one or several steps, clean */
    float *z;       /* [PANEL, accumulators * padded H] their products with w_x, for few streams */
    float *unit;    /* [PANEL, padded H] h before the projection */
    float *update, *scaled; /* [PANEL, padded H] gru_reset_before: the update gate; r h */
    float *y;       /* [PANEL, padded D] the head's outputs */
    float *blas;    /* a block of rows, and its products with w_x and w_h */
    float *x_pairs, *h_pairs; /* [PANEL, half of padded I or R] what is multiplied, rounded to pairs of bfloat16 */
    float *h[MAX_LAYERS];   /* [2 * PANEL, padded R] h before the first step, then after each: [steps + 1, streams] */
    float *wide;            /* [PANEL, row] states that are float16 in memory */
    float *states[PANEL];   /* by stream: its state, in memory or in `wide` */
} scratch_areas;

static ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

static ptrdiff_t divide_scratch(const fused_network *network, float *base, scratch_areas *areas)
{
    cut c = {base, 0};
    ptrdiff_t hidden = 0, outputs = padded(network->head.outputs), inputs = 0;
    for (ptrdiff_t l = 0; l < network->layers; l++) {
        const fused_layer *layer = &network->layer[l];
        hidden = most(hidden, padded(layer->hidden));
        outputs = most(outputs, padded(layer->outputs));
        inputs = most(inputs, layer->inputs);
        areas->h[l] = cut_off(&c, 2 * PANEL * padded(layer->outputs));
    }
    areas->x = cut_off(&c, PANEL * network->layer[0].inputs + W);
    areas->z = cut_off(&c, PANEL * 4 * hidden);
    areas->unit = cut_off(&c, PANEL * hidden);
    areas->update = cut_off(&c, PANEL * hidden);
    areas->scaled = cut_off(&c, PANEL * hidden);
    areas->wide = cut_off(&c, PANEL * network->row);
    areas->y = cut_off(&c, PANEL * padded(network->head.outputs));
    areas->x_pairs = cut_off(&c, PANEL * padded(most(inputs, hidden)));
    areas->h_pairs = cut_off(&c, PANEL * hidden);
    areas->blas = cut_off(&c, BLOCK_ROWS * (most(inputs, hidden) + 8 * hidden + 4 * outputs));
return c.used;
}

static ptrdiff_t scratch_size(const fused_network *network)
{
    scratch_areas areas;
    return divide_scratch(network, NULL, &areas);
}

/* Rows that are multiplied with a layer's weights. */
typedef struct {
    const float *rows;
    ptrdiff_t ld, length;
} operand;

/* Rows [count, length] as the path multiplies them: as they are, or as pairs of bfloat16 rounded to nearest even. What
 * follows a row up to a multiple of W is read too: it is finite, and its weights are zero. */
static operand operand_of(ptrdiff_t count, ptrdiff_t length, const float *x, ptrdiff_t ld, float *pairs)
{
    if (!is_paired(CELL_LSTM))
        return (operand){x, ld, length};
    const ptrdiff_t halves = padded(length) / 2;
    for (ptrdiff_t r = 0; r < count; r++)
        for (ptrdiff_t k = 0; k < length; k += W)
            v_store_pairs(pairs + r * halves + k / 2, v_load(x + r * ld + k));
    return (operand){pairs, halves, (length + 1) / 2};
}

/* The products of a layer's inputs, biases added: z [rows, blocks, accumulators, W]. */
static void multiply_inputs(const fused_layer *layer, const scratch_areas *areas, ptrdiff_t rows, const float *x,
                            ptrdiff_t ld_x)
{
    static const int kinds[] = {[1] = INPUTS_1, [3] = INPUTS_3, [4] = INPUTS_4};
    const ptrdiff_t blocks = padded(layer->hidden) / W;
    const operand in = operand_of(rows, layer->inputs, x, ld_x, areas->x_pairs);
    tile t = {.init = layer->bias, .w_x = layer->w_x, .x = in.rows, .k_x = in.length, .ld_x = in.ld, .out = areas->z,
              .ld_out = blocks * accumulators_of(layer->cell) * W, .blas = areas->blas};
    run_tiles(layer->cell == CELL_GRU ? INPUTS_GRU : kinds[accumulators_of(layer->cell)], &t, rows, blocks, NULL);
}

/* Where a layer's h and c are in a state. */
typedef struct {
    ptrdiff_t hidden, cell, end;
} layer_offsets;

static layer_offsets offsets_after(ptrdiff_t begin, const fused_layer *layer)
{
    const ptrdiff_t cell = begin + padded(layer->outputs);
    return (layer_offsets){begin, cell, cell + (layer->cell <= CELL_PEEPHOLE ? padded(layer->hidden) : 0)};
}

/* Advance `rows` streams by one step of a layer. x is NULL when init holds the products with it already. */
static void step_layer(const fused_layer *layer, layer_offsets at, const scratch_areas *areas, ptrdiff_t rows,
                       const float *init, ptrdiff_t ld_init, const float *x, ptrdiff_t ld_x, const float *h,
                       float *h_next, const fetch *next)
{
    const ptrdiff_t hidden = padded(layer->hidden), outputs = padded(layer->outputs);
    const int has_projection = layer->projection.outputs > 0;
    const operand in = x ? operand_of(rows, layer->inputs, x, ld_x, areas->x_pairs) : (operand){NULL, 0, 0};
    const operand back = operand_of(rows, layer->outputs, h, outputs, areas->h_pairs);
    tile t = {
        .init = init, .w_x = layer->w_x, .w_h = layer->w_h, .peephole = layer->peephole,
        .x = in.rows, .h = back.rows, .h_old = h, .states = areas->states,
        .out = has_projection ? areas->unit : h_next, .update = areas->update, .scaled = areas->scaled,
        .blas = areas->blas, .k_x = in.length, .k_h = back.length, .ld_init = ld_init, .ld_x = in.ld, .ld_h = back.ld,
        .ld_old = outputs, .ld_out = hidden, .hidden_at = has_projection ? -1 : at.hidden, .cell_at = at.cell,
    };
    run_tiles(layer->cell, &t, rows, hidden / W, next);
    if (layer->cell == CELL_GRU_RESET_BEFORE) {
        const operand scaled = operand_of(rows, layer->outputs, areas->scaled, outputs, areas->h_pairs);
        t.init = h_next;
        t.ld_init = hidden;
        t.h = scaled.rows;
        t.ld_h = scaled.ld;
        t.w_h = layer->w_h + hidden * back.length * 2; /* behind the gates r and z */
        t.k_x = 0;
        run_tiles(NEW, &t, rows, hidden / W, NULL);
    }
    if (has_projection) {
        multiply(&layer->projection, rows, areas->unit, hidden, h_next, outputs, areas->blas);
        for (ptrdiff_t r = 0; r < rows; r++)
            copy(outputs, h_next + r * outputs, areas->states[r] + at.hidden);
    }
}

/* ---- a panel ---- */

/* The samples of `steps` steps, NaN as 0 and all within +-1e4: every gate is saturated long before, no sum overflows. */
static void gather_inputs(const fused_lane *lanes, ptrdiff_t streams, ptrdiff_t begin, ptrdiff_t steps,
                          ptrdiff_t inputs, const float *from, float *x)
{
    float *to = x;
    for (ptrdiff_t t = 0; t < steps; t++)
        for (ptrdiff_t s = 0; s < streams; s++) {
            const float *sample = from + lanes[s].samples[begin + t] * inputs;
            for (ptrdiff_t i = 0; i < inputs; i++)
                *to++ = sample[i];
        }
    for (ptrdiff_t i = 0; i < steps * streams * inputs; i++) {
        float value = x[i] == x[i] ? x[i] : 0.0f;
        value = value < 1e4f ? value : 1e4f;
        x[i] = value > -1e4f ? value : -1e4f;
    }
    memset(to, 0, W * sizeof(float)); /* what follows the last row, for `operand_of` */
}

static void write_outputs(const fused_network *network, const scratch_areas *areas, const fused_lane *lanes,
                          ptrdiff_t streams, ptrdiff_t begin, ptrdiff_t steps, const fused_batch *batch)
{
    const fused_layer *top = &network->layer[network->layers - 1];
    const ptrdiff_t inputs = network->layer[0].inputs;
    const float share = 1.0f / (float)inputs;
    const float *y = areas->h[network->layers - 1] + streams * padded(top->outputs), *x = areas->x;
    ptrdiff_t ld = padded(top->outputs), outputs = top->outputs;
    if (network->head.outputs) {
        multiply(&network->head, streams * steps, y, ld, areas->y, padded(network->head.outputs), areas->blas);
        y = areas->y;
        ld = padded(network->head.outputs);
        outputs = network->head.outputs;
    }
    for (ptrdiff_t t = 0; t < steps; t++)
        for (ptrdiff_t s = 0; s < streams; s++, y += ld, x += inputs) {
            const ptrdiff_t sample = lanes[s].samples[begin + t];
            float *out = batch->out + sample * outputs;
            for (ptrdiff_t i = 0; i < outputs; i++)
                out[i] = y[i];
            if (batch->errors) {
                float sum = 0.0f;
                for (ptrdiff_t i = 0; i < inputs; i++)
                    sum += (y[i] - x[i]) * (y[i] - x[i]);
                batch->errors[sample] = sum * share;
            }
        }
}

/* The steps that the first `streams` lanes can take at once from `begin` on: none of them ends or is reset between. */
static ptrdiff_t steps_together(const fused_lane *lanes, ptrdiff_t streams, ptrdiff_t begin, const fused_batch *batch)
{
    ptrdiff_t steps = lanes[streams - 1].count - begin;
    if (streams >= FEW)
        return 1;
    steps = steps < PANEL / streams ? steps : PANEL / streams;
    if (batch->reset)
        for (ptrdiff_t t = 1; t < steps; t++)
            for (ptrdiff_t s = 0; s < streams; s++)
                if (batch->reset[lanes[s].samples[begin + t]])
                    return t;
    return steps;
}

static void run_steps(const fused_network *network, const scratch_areas *areas, const fused_lane *lanes,
                      ptrdiff_t streams, ptrdiff_t begin, ptrdiff_t steps, const fused_batch *batch, fetch *next)
{
    const ptrdiff_t inputs = network->layer[0].inputs, size = batch->is_half ? sizeof(uint16_t) : sizeof(float);
    const int is_one = steps == 1;
    gather_inputs(lanes, streams, begin, steps, inputs, batch->x, areas->x);
    if (batch->reset)
        for (ptrdiff_t s = 0; s < streams; s++)
            if (batch->reset[lanes[s].samples[begin]])
                memset(areas->states[s], 0, network->row * sizeof(float));
    const float *x = areas->x;
    ptrdiff_t ld_x = inputs;
    layer_offsets at = {0, 0, 0};
    for (ptrdiff_t l = 0; l < network->layers; l++) {
        const fused_layer *layer = &network->layer[l];
        const ptrdiff_t outputs = padded(layer->outputs), wide = padded(layer->hidden) * accumulators_of(layer->cell);
        float *h = areas->h[l];
        at = offsets_after(at.end, layer);
        if (next) {
            next->hidden_at = at.hidden * size;
            next->cell_at = (at.end > at.cell ? at.cell : at.hidden) * size;
            next->step = W * size;
        }
        for (ptrdiff_t s = 0; s < streams; s++)
            copy(outputs, areas->states[s] + at.hidden, h + s * outputs);
        if (!is_one)
            multiply_inputs(layer, areas, steps * streams, x, ld_x);
        for (ptrdiff_t t = 0; t < steps; t++, h += streams * outputs) {
            float *h_next = h + streams * outputs;
            step_layer(layer, at, areas, streams, is_one ? layer->bias : areas->z + t * streams * wide,
                       is_one ? 0 : wide, is_one ? x : NULL, ld_x, h, h_next, next);
            if (batch->is_half) {
                round_to_halves(streams * outputs, h_next);
                for (ptrdiff_t s = 0; s < streams; s++)
                    round_to_halves(at.end - at.hidden, areas->states[s] + at.hidden);
            }
        }
        x = areas->h[l] + streams * outputs;
        ld_x = outputs;
    }
    write_outputs(network, areas, lanes, streams, begin, steps, batch);
}

static void run(const fused_network *network, const fused_lane *lanes, ptrdiff_t count, const fused_lane *next_lanes,
                ptrdiff_t next_count, const fused_batch *batch, float *scratch)
{
    scratch_areas areas;
    divide_scratch(network, scratch, &areas);
    const unsigned int control = flush_denormals();
    for (ptrdiff_t s = 0; s < count; s++) {
        areas.states[s] = batch->is_half ? areas.wide + s * network->row : (float *)lanes[s].state;
        if (batch->is_half)
            halves_to_floats(network->row, (const uint16_t *)lanes[s].state, areas.states[s]);
    }
    fetch next = {.lanes = next_lanes, .count = next_count};
    ptrdiff_t begin = 0, streams = count;
    while (streams > 0) {
        const ptrdiff_t steps = steps_together(lanes, streams, begin, batch);
        run_steps(network, &areas, lanes, streams, begin, steps, batch, begin == 0 && next_count ? &next : NULL);
        begin += steps;
        while (streams > 0 && lanes[streams - 1].count == begin)
            streams--;
    }
    if (batch->is_half)
        for (ptrdiff_t s = 0; s < count; s++)
            floats_to_halves(network->row, areas.states[s], (uint16_t *)lanes[s].state);
    restore_denormals(control);
}

const fused_path LEVEL_NAME(fused_) = {W, scratch_size, run};
