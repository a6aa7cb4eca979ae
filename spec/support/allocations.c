/* allocations.c -- preloaded into a gateway, counts what its workers allocate
 * in the file that $ALLOCATIONS names: two numbers of 64 bits, how many
 * allocations there were and how many are alive. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    char line[64] = "";
    const char *path = getenv("ALLOCATIONS");
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, line, sizeof line - 1);

    close(fd);
    if (path == NULL || len <= 0 ||
        memmem(line, (size_t)len, "@worker", 7) == NULL)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        counters = at;
}
