/* float16 and back, rounded to nearest even, denormals kept; beyond +-65504, infinite or NaN is +-65504 by the sign bit:
 * no state becomes infinite. Any count of values, and the same bits, whether the processor converts (F16C, eight values
 * at a time, the last ones singly) or the code below does.
 */
#ifndef STREAMLSTM_HALF_H
#define STREAMLSTM_HALF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__F16C__)
#include <immintrin.h>
#endif

static inline uint16_t half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits >= 0x477ff000) /* 65520 and beyond would round to infinity */
        return sign | 0x7bff;
    if (bits < 0x38800000) { /* below 2^-14: a multiple of 2^-24, to which the sum with 0.5 rounds */
        float size;
        memcpy(&size, &bits, sizeof size);
        size += 0.5f;
        memcpy(&bits, &size, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits - 0x38000000) >> 13));
}

static inline float float_of(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = half & 0x7fff;
    uint32_t bits = (size << 13) + 0x38000000; /* the exponent's bias: 127 - 15 */
    float value = (float)size * 0x1p-24f;
    if (size < 0x400)
        memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void halves_to_floats(ptrdiff_t count, const uint16_t *from, float *to)
{
    ptrdiff_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
#endif
    for (; i < count; i++)
        to[i] = float_of(from[i]);
}

static inline void floats_to_halves(ptrdiff_t count, const float *from, uint16_t *to)
{
    ptrdiff_t i = 0;
#if defined(__F16C__)
    const __m256 sign_bit = _mm256_set1_ps(-0.0f), most = _mm256_set1_ps(65504.0f);
    for (; i + 8 <= count; i += 8) {
        const __m256 value = _mm256_loadu_ps(from + i), sign = _mm256_and_ps(value, sign_bit);
        const __m256 size = _mm256_min_ps(_mm256_andnot_ps(sign_bit, value), most); /* of a NaN it is `most` */
        _mm_storeu_si128((__m128i *)(to + i), _mm256_cvtps_ph(_mm256_or_ps(size, sign), _MM_FROUND_TO_NEAREST_INT));
    }
#endif
    for (; i < count; i++)
        to[i] = half_of(from[i]);
}

static inline void round_to_halves(ptrdiff_t count, float *values)
{
    for (ptrdiff_t i = 0; i < count; i += 8) {
        const ptrdiff_t size = count - i < 8 ? count - i : 8;
        uint16_t halves[8];
        floats_to_halves(size, values + i, halves);
        halves_to_floats(size, halves, values + i);
    }
}

#endif
