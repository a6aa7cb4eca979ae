/* fuzz_bundle.c -- any bytes as the sealed file that workers start from. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/bundle.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
sum(struct slice bytes)
{
    unsigned total = 0;

    for (size_t i = 0; i < bytes.len; i++)
        total += (unsigned char)bytes.ptr[i];
    return total;
}

static void
read_all(const struct bundle *b)
{
    unsigned total = 0;

    for (size_t i = 0; i < bundle_count(b); i++) {
        struct bundle_entry e = bundle_at(b, i), found;
        require(bundle_find(b, e.kind, e.name, &found));
        require(slice_equal(found.name, e.name));
        total += sum(e.name) + sum(e.path) + sum(e.bytes);
    }
    require(total + 1 != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct error err;

    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    require(fcntl(fd, F_ADD_SEALS, SEALS) == 0);
    struct bundle *b = bundle_open(fd, &err);
    if (b != NULL) {
        read_all(b);
        bundle_close(b);
    }
    (void)close(fd);
    return 0;
}
