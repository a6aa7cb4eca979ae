#include "lua/bundle.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The file: this header, then for each entry a head and its three texts, each
 * entry padded to 8 bytes.  Written and read by the same binary. */
static const char magic[8] = "MGBNDL1";

struct header {
    char magic[sizeof magic];
    uint64_t count;
};

struct head {
    uint32_t kind;
    uint32_t name_len;
    uint32_t path_len;
    uint32_t unused;
    uint64_t bytes_len;
};

/* Holds keys and passwords, so it is wiped when it moves. */
struct bundle_writer {
    char *memory;
    size_t used, size;
    uint64_t count;
};

static void
append(struct bundle_writer *w, const void *bytes, size_t len)
{
    if (len > w->size - w->used) {
        size_t size = (w->used + len) * 2;
        char *memory = xmalloc(size);
        memcpy(memory, w->memory, w->used);
        explicit_bzero(w->memory, w->used);
        free(w->memory);
        w->memory = memory;
        w->size = size;
    }
    if (len > 0)
        memcpy(w->memory + w->used, bytes, len);
    w->used += len;
}

struct bundle_writer *
bundle_writer_new(void)
{
    struct bundle_writer *w = xcalloc(1, sizeof *w);

    w->size = (size_t)64 << 10;
    w->memory = xmalloc(w->size);
    append(w, &(struct header){{0}, 0}, sizeof(struct header));
    return w;
}

void
bundle_add(struct bundle_writer *w, enum bundle_kind kind, struct slice name,
           struct slice path, struct slice bytes)
{
    static const char padding[8] = {0};
    struct head head = {
        .kind = (uint32_t)kind,
        .name_len = (uint32_t)name.len,
        .path_len = (uint32_t)path.len,
        .bytes_len = bytes.len,
    };

    require(name.len < UINT16_MAX && path.len < UINT16_MAX);
    append(w, &head, sizeof head);
    append(w, name.ptr, name.len);
    append(w, path.ptr, path.len);
    append(w, bytes.ptr, bytes.len);
    append(w, padding, (8 - w->used % 8) % 8);
    w->count++;
}

static bool
write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

int
bundle_writer_seal(struct bundle_writer *w, struct error *err)
{
    struct header header = {.count = w->count};
    int fd = memfd_create("bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    memcpy(header.magic, magic, sizeof magic);
    memcpy(w->memory, &header, sizeof header);
    if (fd < 0 || !write_all(fd, w->memory, w->used) ||
        fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        error_set(err, "bundle: %s", strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
    bundle_writer_free(w);
    return fd;
}

void
bundle_writer_free(struct bundle_writer *w)
{
    if (w == NULL)
        return;
    explicit_bzero(w->memory, w->used);
    free(w->memory);
    free(w);
}

struct bundle {
    const char *memory;
    size_t size;
    size_t count;
    struct bundle_entry entries[];
};

/* Cuts `n` bytes off the front; false when there are not so many. */
static bool
take(struct slice *rest, uint64_t n, struct slice *piece)
{
    if (n > rest->len)
        return false;
    *piece = slice_take(*rest, (size_t)n);
    *rest = slice_drop(*rest, (size_t)n);
    return true;
}

static bool
read_entry(struct slice *rest, struct bundle_entry *entry)
{
    struct head head;
    struct slice piece;

    if (!take(rest, sizeof head, &piece))
        return false;
    memcpy(&head, piece.ptr, sizeof head);
    if (head.kind >= BUNDLE_KINDS || !take(rest, head.name_len, &entry->name) ||
        !take(rest, head.path_len, &entry->path) ||
        !take(rest, head.bytes_len, &entry->bytes))
        return false;
    entry->kind = (enum bundle_kind)head.kind;
    uint64_t used = head.name_len + head.path_len + head.bytes_len;
    return take(rest, (8 - used % 8) % 8, &piece);
}

static struct bundle *
read_all(struct slice file, struct error *err)
{
    struct header header;
    struct slice piece;

    if (!take(&file, sizeof header, &piece)) {
        error_set(err, "the bundle is too short");
        return NULL;
    }
    memcpy(&header, piece.ptr, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) != 0 ||
        header.count > file.len / sizeof(struct head)) {
        error_set(err, "this is not a bundle of this version");
        return NULL;
    }

    size_t count = (size_t)header.count;
    struct bundle *b = xcalloc(1, sizeof *b + count * sizeof *b->entries);
    for (; b->count < count; b->count++) {
        if (!read_entry(&file, &b->entries[b->count])) {
            error_set(err, "the bundle is damaged");
            free(b);
            return NULL;
        }
    }
    return b;
}

struct bundle *
bundle_open(int fd, struct error *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0) {
        error_set(err, "the bundle is not sealed");
        return NULL;
    }
    size_t size = (size_t)st.st_size;
    char *memory =
        size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        error_set(err, "bundle: %s", size == 0 ? "empty" : strerror(errno));
        return NULL;
    }
    (void)madvise(memory, size, MADV_DONTDUMP);
    struct bundle *b = read_all((struct slice){memory, size}, err);
    if (b == NULL) {
        (void)munmap(memory, size);
        return NULL;
    }
    b->memory = memory;
    b->size = size;
    return b;
}

void
bundle_hash(const struct bundle *b, char hex[64])
{
    digest_sha256((struct slice){b->memory, b->size}, hex);
}

void
bundle_close(struct bundle *b)
{
    if (b == NULL)
        return;
    (void)munmap((void *)(uintptr_t)b->memory, b->size);
    free(b);
}

size_t
bundle_count(const struct bundle *b)
{
    return b->count;
}

struct bundle_entry
bundle_at(const struct bundle *b, size_t i)
{
    require(i < b->count);
    return b->entries[i];
}

bool
bundle_find(const struct bundle *b, enum bundle_kind kind, struct slice name,
            struct bundle_entry *entry)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->entries[i].kind == kind &&
            slice_equal(b->entries[i].name, name)) {
            *entry = b->entries[i];
            return true;
        }
    }
    return false;
}
