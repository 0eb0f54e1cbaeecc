/* The gates of one LSTM row, applied to its pre-activations: plain C that compilers vectorise.
 *
 *   i, f, o = sigmoid(z_i, z_f, z_o)      g = tanh(z_g)      c' = f c + i g      h = o tanh(c')
 *
 * One restrict pointer a gate and Py_ssize_t indices: with int indices CPython's -fwrapv keeps gcc from vectorising.
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

/* z [4H] (i, f, g, o) in; c [H] in place; h [H] out. */
EVERY_ISA static void gates_step(Py_ssize_t H, const float *restrict z, float *restrict c, float *restrict h)
{
    const float *restrict zi = z, *restrict zf = z + H, *restrict zg = z + 2 * H, *restrict zo = z + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float cell = sigmoid(zf[j]) * c[j] + sigmoid(zi[j]) * tanh_fast(zg[j]);
        c[j] = cell;
        h[j] = sigmoid(zo[j]) * tanh_fast(cell);
    }
}

/* The same, keeping what the backward pass needs: z becomes the activated gates; c_next, tanh_c, h are written. */
EVERY_ISA static void gates_forward(Py_ssize_t H, float *restrict z, const float *restrict c, float *restrict c_next,
                                    float *restrict tanh_c, float *restrict h)
{
    float *restrict zi = z, *restrict zf = z + H, *restrict zg = z + 2 * H, *restrict zo = z + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = sigmoid(zi[j]), f = sigmoid(zf[j]), g = tanh_fast(zg[j]), o = sigmoid(zo[j]);
        float cell = f * c[j] + i * g, t = tanh_fast(cell);
        zi[j] = i;
        zf[j] = f;
        zg[j] = g;
        zo[j] = o;
        c_next[j] = cell;
        tanh_c[j] = t;
        h[j] = o * t;
    }
}

/* Gradients of one row: a [4H] activated gates in, pre-activation gradients out; d_c [H] in place (to the step before).
 *
 *   dc = d_c + d_h o (1 - t^2)      di = dc g i(1-i)   df = dc c f(1-f)   dg = dc i (1-g^2)   do = d_h t o(1-o)      */
EVERY_ISA static void gates_backward(Py_ssize_t H, float *restrict a, const float *restrict c,
                                     const float *restrict tanh_c, const float *restrict d_h, float *restrict d_c)
{
    float *restrict ai = a, *restrict af = a + H, *restrict ag = a + 2 * H, *restrict ao = a + 3 * H;
    for (Py_ssize_t j = 0; j < H; j++) {
        float i = ai[j], f = af[j], g = ag[j], o = ao[j], t = tanh_c[j];
        float dc = d_c[j] + d_h[j] * o * (1.0f - t * t);
        ai[j] = dc * g * i * (1.0f - i);
        af[j] = dc * c[j] * f * (1.0f - f);
        ag[j] = dc * i * (1.0f - g * g);
        ao[j] = d_h[j] * t * o * (1.0f - o);
        d_c[j] = dc * f;
    }
}

#endif
