/* One update of AdamW over n values, in one pass: each line of the five arrays is read and written once. */
#ifndef STREAMLSTM_ADAMW_H
#define STREAMLSTM_ADAMW_H

#include "gates.h" /* EVERY_ISA */

typedef struct {
    float beta1, beta2, decay, rate, correction, eps; /* decay: 1 - learning rate * weight decay */
} adamw_rates;

/* m = b1 m + (1 - b1) g    v = b2 v + (1 - b2) g^2    w = decay w - rate m / (correction sqrt(v) + eps) */
EVERY_ISA static void adamw_pass(Py_ssize_t n, float *restrict w, const float *restrict gradient, float *restrict first,
                                 float *restrict second, adamw_rates r)
{
    for (Py_ssize_t j = 0; j < n; j++) {
        const float g = gradient[j];
        const float m = first[j] = r.beta1 * first[j] + (1.0f - r.beta1) * g;
        const float v = second[j] = r.beta2 * second[j] + (1.0f - r.beta2) * (g * g);
        w[j] = r.decay * w[j] - r.rate * m / (r.correction * sqrtf(v) + r.eps);
    }
}

#endif
