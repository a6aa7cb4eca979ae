#include "base/random.h"

#include "base/check.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* getrandom(2) of up to 256 bytes is never interrupted and never short. */
static struct {
    char bytes[256];
    size_t left;
    pid_t owner; /* a forked child must not repeat its parent's bytes */
} pool;

void
random_bytes(void *out, size_t len)
{
    require(len <= sizeof pool.bytes);
    if (pool.left < len || pool.owner != getpid()) {
        require(getrandom(pool.bytes, sizeof pool.bytes, 0) ==
                (ssize_t)sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
        pool.owner = getpid();
    }
    pool.left -= len;
    memcpy(out, pool.bytes + pool.left, len);
    explicit_bzero(pool.bytes + pool.left, len);
}
