#include "base/random.h"

#include "base/check.h"

#include <string.h>
#include <sys/random.h>

/* Every process of the gateway is made by fork and exec, so that none inherits
 * another's bytes.  getrandom(2) of up to 256 bytes is never interrupted and never short. */
static struct {
    char bytes[256];
    size_t left;
} pool;

void
random_bytes(void *out, size_t len)
{
    require(len <= sizeof pool.bytes);
    if (pool.left < len) {
        require(getrandom(pool.bytes, sizeof pool.bytes, 0) ==
                (ssize_t)sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    pool.left -= len;
    memcpy(out, pool.bytes + pool.left, len);
    explicit_bzero(pool.bytes + pool.left, len);
}
