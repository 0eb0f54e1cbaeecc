/* Zeroed memory by the chunk. Untouched pages cost nothing; large chunks ask for huge pages, since states are visited in
 * random order and every small page would be a miss of the translation buffer. */
#ifndef STREAMLSTM_PAGES_H
#define STREAMLSTM_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 * 1024 * 1024 };

static inline size_t pages_size(size_t bytes) /* what is taken from the system: whole pages, or whole huge ones */
{
    const size_t page = bytes >= HUGE_PAGE ? HUGE_PAGE : 4096;
    return (bytes + page - 1) / page * page;
}

/* Return memory that begins on a page, or on a huge one where it fills it; NULL when there is none. */
static inline void *pages_new(size_t bytes)
{
    const size_t size = pages_size(bytes), spare = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *begin = (char *)mmap(NULL, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == (char *)MAP_FAILED)
        return NULL;
    if (spare) {
        const size_t before = (HUGE_PAGE - (uintptr_t)begin % HUGE_PAGE) % HUGE_PAGE;
        if (before)
            munmap(begin, before);
        if (before < spare)
            munmap(begin + before + size, spare - before);
        begin += before;
#if defined(MADV_HUGEPAGE)
        madvise(begin, size, MADV_HUGEPAGE); /* advice: without it everything works, slower */
#endif
    }
    return begin;
}

static inline void pages_free(void *begin, size_t bytes) { munmap(begin, pages_size(bytes)); }

#endif
