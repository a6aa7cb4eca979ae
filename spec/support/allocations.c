/* allocations.c -- preloaded into a gateway, counts what its workers allocate
 * in the file that $ALLOCATIONS names: two numbers of 64 bits, how many
 * allocations there were and how many are alive. */
#include "preload.h"

#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *old);

static int64_t *counters;

static void
note(int made, int alive)
{
    if (counters == NULL)
        return;
    __atomic_add_fetch(&counters[0], made, __ATOMIC_RELAXED);
    __atomic_add_fetch(&counters[1], alive, __ATOMIC_RELAXED);
}

void *
malloc(size_t size)
{
    note(1, 1);
    return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    note(1, 1);
    return __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    note(1, old == NULL ? 1 : 0);
    return __libc_realloc(old, size);
}

void
free(void *old)
{
    if (old != NULL)
        note(0, -1);
    __libc_free(old);
}

__attribute__((constructor)) static void
begin(void)
{
    counters = preload_map("ALLOCATIONS", 16);
}
