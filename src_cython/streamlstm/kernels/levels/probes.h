/* What the processor can do on one level, for benchmarks: a limit that no kernel of ours can be faster than. */
#ifndef STREAMLSTM_PROBES_H
#define STREAMLSTM_PROBES_H

#include <stddef.h>

typedef struct {
    ptrdiff_t width; /* W */
    /* Fused multiply-adds on registers alone: the operations done. LSTM gates on registers: the units done. */
    double (*multiply_adds)(ptrdiff_t rounds);
    double (*gates)(ptrdiff_t rounds, float *state); /* state: 16 * W floats */
} probe_path;

#endif
