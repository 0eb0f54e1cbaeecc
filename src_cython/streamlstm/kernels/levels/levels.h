/* The levels of the instruction set, and all that is compiled once for each of them. */
#ifndef STREAMLSTM_LEVELS_H
#define STREAMLSTM_LEVELS_H

#include "probes.h"
#include "scoring/prototypes.h"
#include "step/fused.h"
#include "training/training.h"

typedef struct {
    const char *name;
    const fused_path *registers, *blas, *bfloat16; /* the step; the last NULL where the processor has no such products */
    const training_path *training;
    const prototype_path *prototypes;
    const probe_path *probes;
} kernel_level;

/* Levels that were compiled and that this processor has, the best first; the last is followed by one without a name. */
const kernel_level *kernel_levels(void);

#endif
