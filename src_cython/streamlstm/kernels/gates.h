/* Sigmoid and tanh for the training kernels: plain C that compilers vectorise, one body a level of the instruction set.
 * The step has its own in vectors (vector.h).
 */
#ifndef STREAMLSTM_GATES_H
#define STREAMLSTM_GATES_H

#include <Python.h>
#include <math.h>
#include <stdint.h>

/* One body a level of the instruction set, chosen by the loader; what is shipped runs on any x86-64. */
#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__)
#define EVERY_ISA __attribute__((unused, target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_ISA __attribute__((unused))
#endif

/* 2^x to 2e-7 relative: x = n + f with |f| <= 1/2, a polynomial of degree 6 (Taylor; error (ln2/2)^7/7! = 1e-7) and n
 * in the exponent. |x| is limited to 126, where a sigmoid is 0 or 1 long since. */
static inline float exp2_poly(float x)
{
    x = x < 126.0f ? x : 126.0f; /* NaN, which no face lets in, would end here too */
    x = x > -126.0f ? x : -126.0f;
    float n = rintf(x), f = x - n;
    float p = 1.5403530e-4f;
    p = p * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    union { float f; int32_t i; } power;
    power.i = ((int32_t)n + 127) << 23;
    return p * power.f;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp2_poly(-1.44269504f * x)); }

static inline float tanh_fast(float x)
{
    float e = exp2_poly(-2.88539008f * x);
    return (1.0f - e) / (1.0f + e);
}

#endif
