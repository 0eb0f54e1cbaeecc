/* The probes of one level of the instruction set; LEVEL names it. */
#include "probes.h"

#include "gates.h"

/* A value that the compiler may not foresee, and so neither leave out nor compute ahead. */
#if defined(__aarch64__)
#define OPAQUE(a) __asm__ volatile("" : "+w"(a))
#elif defined(__AVX512F__)
#define OPAQUE(a) __asm__ volatile("" : "+v"(a))
#else
#define OPAQUE(a) __asm__ volatile("" : "+x"(a))
#endif

static double multiply_adds(ptrdiff_t rounds)
{
    enum { CHAINS = 2 * TILE_ROWS }; /* enough to hide the latency of one; few enough to stay in registers */
    vec sums[CHAINS], factor = v_set(0.999f), term = v_set(0.5f);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        sums[i] = v_set((float)i);
    for (ptrdiff_t n = 0; n < rounds; n++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            sums[i] = v_fma(sums[i], factor, term);
            OPAQUE(sums[i]);
        }
#pragma GCC unroll 12
    for (int i = 1; i < CHAINS; i++)
        sums[0] += sums[i];
    volatile float sink = v_sum(sums[0]); /* somebody has to want them */
    (void)sink;
    return 2.0 * W * CHAINS * (double)rounds;
}

static double gates(ptrdiff_t rounds, float *state)
{
    const vec z[4] = {v_load(state), v_load(state + W), v_load(state + 2 * W), v_load(state + 3 * W)};
    float *c[TILE_ROWS];
    for (int r = 0; r < TILE_ROWS; r++)
        c[r] = state + (4 + r) * W;
    for (ptrdiff_t n = 0; n < rounds; n++) {
        vec sums[TILE_ROWS][4];
#pragma GCC unroll 6
        for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 4
            for (int g = 0; g < 4; g++) {
                sums[r][g] = z[g];
                OPAQUE(sums[r][g]);
            }
        lstm_gates(TILE_ROWS, sums, NULL, c);
#pragma GCC unroll 6
        for (int r = 0; r < TILE_ROWS; r++)
            v_store(c[r] + TILE_ROWS * W, sums[r][0]);
    }
    return (double)W * TILE_ROWS * (double)rounds;
}

const probe_path LEVEL_NAME(probes_) = {W, multiply_adds, gates};
