/* Denormals as zero while a kernel runs: a state or a gradient that fades away would be a hundred times slower. */
#ifndef STREAMLSTM_DENORMALS_H
#define STREAMLSTM_DENORMALS_H

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Return the setting before, for `restore_denormals`. */
static inline unsigned int flush_denormals(void)
{
#if defined(__x86_64__)
    const unsigned int control = _mm_getcsr();
    _mm_setcsr(control | 0x8040); /* results that are denormal, and operands that are */
    return control;
#else
    return 0;
#endif
}

static inline void restore_denormals(unsigned int control)
{
#if defined(__x86_64__)
    _mm_setcsr(control);
#else
    (void)control;
#endif
}

#endif
