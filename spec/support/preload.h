/* preload.h -- what a library that preload.lua builds begins with. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file that the environment's `name` names, `size` bytes of it, which all
 * who map it share; NULL in what is no worker. */
static void *
preload_map(const char *name, size_t size)
{
    char line[64] = "";
    const char *path = getenv(name);
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, line, sizeof line - 1);

    close(fd);
    if (path == NULL || len <= 0 ||
        memmem(line, (size_t)len, "@worker", 7) == NULL)
        return NULL;
    fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at != MAP_FAILED ? at : NULL;
}
