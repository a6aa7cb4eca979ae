#include "base/check.h"

#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKTRACE_DEPTH 32

_Noreturn void
check_failed(const char *condition, const char *file, int line)
{
    void *frames[BACKTRACE_DEPTH];

    (void)fprintf(stderr, "moongate: bug: %s:%d: %s\n", file, line, condition);
    backtrace_symbols_fd(frames, backtrace(frames, BACKTRACE_DEPTH),
                         STDERR_FILENO);
    abort();
}

void *
xmalloc(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    require(memory != NULL);
    return memory;
}

void *
xcalloc(size_t count, size_t size)
{
    require(size == 0 || count <= SIZE_MAX / size);
    /* calloc knows nothing of the blocks that each thread keeps. */
    void *memory = xmalloc(count * size);
    return memset(memory, 0, count * size);
}

char *
xstrndup(const char *bytes, size_t len)
{
    char *copy = xmalloc(len + 1);
    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}
