/* The levels that were compiled and that this processor has. */
#include "levels.h"

fused_sgemm_function fused_sgemm;

extern const fused_path fused_baseline, fused_baseline_blas;
extern const training_path training_baseline;
extern const prototype_path prototypes_baseline;
extern const probe_path probes_baseline;

#if defined(__x86_64__)

extern const fused_path fused_v4, fused_v4_blas, fused_v4_bfloat16, fused_v3, fused_v3_blas;
extern const training_path training_v4, training_v3;
extern const prototype_path prototypes_v4, prototypes_v3;
extern const probe_path probes_v4, probes_v3;

/* The libc's and the kernel's support is asked as well: __builtin_cpu_supports reads XCR0. */
static int has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

static int has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

const kernel_level *kernel_levels(void)
{
    static kernel_level levels[] = {
        {"x86-64-v4", &fused_v4, &fused_v4_blas, NULL, &training_v4, &prototypes_v4, &probes_v4},
        {"x86-64-v3", &fused_v3, &fused_v3_blas, NULL, &training_v3, &prototypes_v3, &probes_v3},
        {"baseline", &fused_baseline, &fused_baseline_blas, NULL, &training_baseline, &prototypes_baseline,
         &probes_baseline},
        {0},
    };
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bf16"))
        levels[0].bfloat16 = &fused_v4_bfloat16;
    return levels + (has_v4() ? 0 : has_v3() ? 1 : 2);
}

#else

const kernel_level *kernel_levels(void)
{
    static const kernel_level levels[] = {
        {"baseline", &fused_baseline, &fused_baseline_blas, NULL, &training_baseline, &prototypes_baseline,
         &probes_baseline},
        {0},
    };
    return levels;
}

#endif
