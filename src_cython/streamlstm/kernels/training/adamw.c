/* One update of AdamW over n values, in one pass: each line of the five arrays is read and written once.
 *
 * Plain C, which the compiler makes vectors of, one level of the instruction set at a time. Every operation is rounded
 * by itself, so levels have the same bits. */
#include "training.h"

#include <math.h>

#include "levels/vector.h"

void LEVEL_NAME(adamw_)(ptrdiff_t n, float *restrict w, const float *restrict gradient, float *restrict first,
                        float *restrict second, const adamw_rates *rates)
{
    const adamw_rates r = *rates;
    const float left1 = 1.0f - r.beta1, left2 = 1.0f - r.beta2;
    for (ptrdiff_t j = 0; j < n; j++) {
        const float g = gradient[j];
        const float m = first[j] = r.beta1 * first[j] + left1 * g;
        const float v = second[j] = r.beta2 * second[j] + left2 * (g * g);
        w[j] = r.decay * w[j] - r.rate * m / (r.correction * sqrtf(v) + r.eps);
    }
}
