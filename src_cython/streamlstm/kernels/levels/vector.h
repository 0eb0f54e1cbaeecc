/* Vectors of float32 in the width of the level of the instruction set that this file is compiled for.
 *
 *   x86-64-v4  16 lanes (AVX-512)      x86-64-v3  8 lanes (AVX2, FMA)      otherwise 4 (SSE2, NEON: vectors of GCC, Clang)
 *
 * Every operation is rounded as IEEE 754 says, on every processor of a level: no reciprocal estimates, whose bits differ
 * by maker. Nothing is contracted behind our back (-ffp-contract=off), so a sum has the same bits in every tile.
 */
#ifndef STREAMLSTM_VECTOR_H
#define STREAMLSTM_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* A name that ends in the level's, as dispatch.c knows it: LEVEL is given to the compiler beside the level's flags. */
#define JOINED(a, b) a##b
#define JOIN(a, b) JOINED(a, b)
#define LEVEL_NAME(prefix) JOIN(prefix, LEVEL)

#if defined(__AVX512F__) && defined(__AVX512DQ__)

#include <immintrin.h>
enum { W = 16, TILE_ROWS = 6 }; /* 6 rows x 4 accumulators, 4 of weights, 1 broadcast: 29 of 32 registers */
typedef __m512 vec;
ALWAYS vec v_load(const float *p) { return _mm512_loadu_ps(p); }
ALWAYS void v_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
ALWAYS vec v_set(float a) { return _mm512_set1_ps(a); }
ALWAYS vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
ALWAYS vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
ALWAYS vec v_load_first(const float *p, ptrdiff_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
ALWAYS void v_store_first(float *p, vec a, ptrdiff_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a); }
ALWAYS float v_sum(vec a) /* by halves, as everywhere */
{
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

#elif defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>
enum { W = 8, TILE_ROWS = 3 }; /* 3 rows x 4 accumulators, 3 broadcasts, 1 of weights: all 16 registers */
typedef __m256 vec;
ALWAYS vec v_load(const float *p) { return _mm256_loadu_ps(p); }
ALWAYS void v_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
ALWAYS vec v_set(float a) { return _mm256_set1_ps(a); }
ALWAYS vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
ALWAYS vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
ALWAYS float v_sum(vec a)
{
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

#else

#if defined(__aarch64__)
#include <arm_neon.h>
enum { W = 4, TILE_ROWS = 6 };
#else
enum { W = 4, TILE_ROWS = 3 };
#endif
typedef float vec __attribute__((vector_size(16)));
ALWAYS vec v_load(const float *p) { vec a; memcpy(&a, p, sizeof a); return a; }
ALWAYS void v_store(float *p, vec a) { memcpy(p, &a, sizeof a); }
ALWAYS vec v_set(float a) { return (vec){a, a, a, a}; }
#if defined(__aarch64__)
ALWAYS vec v_fma(vec a, vec b, vec c) { return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
ALWAYS vec v_fma(vec a, vec b, vec c) { return a * b + c; } /* two roundings: SSE2 has no fused one */
#endif
ALWAYS vec v_min(vec a, vec b)
{
    typedef int32_t mask __attribute__((vector_size(16)));
    mask less = a < b;
    return (vec)((less & (mask)a) | (~less & (mask)b));
}
ALWAYS float v_sum(vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }

#endif

/* n rounded up to whole vectors. */
ALWAYS ptrdiff_t padded(ptrdiff_t n) { return (n + W - 1) / W * W; }

/* The first n of W floats; the others are zero when loaded, and left alone when stored. */
#if !(defined(__AVX512F__) && defined(__AVX512DQ__))
ALWAYS vec v_load_first(const float *p, ptrdiff_t n)
{
    float values[W] = {0};
    memcpy(values, p, n * sizeof(float));
    return v_load(values);
}
ALWAYS void v_store_first(float *p, vec a, ptrdiff_t n)
{
    float values[W];
    v_store(values, a);
    memcpy(p, values, n * sizeof(float));
}
#endif

/* sum + low * low + high * high of pairs of bfloat16, one pair a lane. */
#if defined(FUSED_BFLOAT16)
ALWAYS vec v_dot_pairs(vec a, vec b, vec sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
ALWAYS void v_store_pairs(float *p, vec a) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(a)); }
#else /* never asked for */
ALWAYS vec v_dot_pairs(vec a, vec b, vec sum) { return (void)a, (void)b, sum; }
ALWAYS void v_store_pairs(float *p, vec a) { v_store(p, a); }
#endif

/* 2^x for x <= 40, 0 or next to it below -126, to 1.6e-7 relative; 2^0 is 1 exactly. Minimax polynomials of degree 5
 * for the fraction, with p(0) = 1. */
ALWAYS vec v_exp2(vec x)
{
    x = v_min(x, v_set(40.0f)); /* a sigmoid is 0 or 1 long since, and the product of three stays below 2^128 */
#if defined(__AVX512F__) && defined(__AVX512DQ__)
    vec f = _mm512_reduce_ps(x, 1); /* x - floor(x); scalef takes the floor by itself */
    vec p = v_set(1.867145280e-03f);
    p = v_fma(p, f, v_set(9.016993467e-03f));
    p = v_fma(p, f, v_set(5.579994537e-02f));
    p = v_fma(p, f, v_set(2.401644381e-01f));
    p = v_fma(p, f, v_set(6.931513133e-01f));
    p = v_fma(p, f, v_set(1.0f));
    return _mm512_scalef_ps(p, x);
#else
    const vec magic = v_set(12582912.0f); /* 1.5 * 2^23: the sum's lowest bits are x rounded to an integer */
    x = -v_min(-x, v_set(126.0f));
    vec rounded = x + magic, f = x - (rounded - magic);
    vec p = v_set(1.326472037e-03f);
    p = v_fma(p, f, v_set(9.671513022e-03f));
    p = v_fma(p, f, v_set(5.550733778e-02f));
    p = v_fma(p, f, v_set(2.402224208e-01f));
    p = v_fma(p, f, v_set(6.931469776e-01f));
    p = v_fma(p, f, v_set(1.0f));
    typedef uint32_t bits __attribute__((vector_size(sizeof(vec))));
    return (vec)((bits)p + ((bits)rounded << 23)); /* the integer goes into the exponent */
#endif
}

#endif
