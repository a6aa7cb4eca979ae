#include "net/tls_cache.h"

#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE  4096
#define TRIES 3

/* Odd while it is written; odd and not locked: its writer died. */
struct page {
    _Atomic uint32_t turn;
    uint32_t used; /* bytes of `packed` */
    char packed[PAGE - 8];
};
_Static_assert(sizeof(struct page) == PAGE, "a page is a page");

/* Then follow `len` bytes; the oldest entry of a page comes first. */
struct entry {
    uint32_t expiry; /* seconds since 1970 */
    uint16_t len;
    uint16_t id_len;
    char id[TLS_CACHE_ID_MAX];
};
_Static_assert(TLS_CACHE_SESSION_MAX + sizeof(struct entry) <= PAGE - 8,
               "the longest session fits a page");

struct tls_cache {
    struct page *pages;
    size_t count;
    int fd; /* locks are on it */
};

int
tls_cache_create(size_t bytes, struct error *err)
{
    off_t size = (off_t)((bytes + PAGE - 1) / PAGE * PAGE);
    int fd =
        memfd_create("moongate-tls-sessions", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        (void)error_set(err, "memfd: %s", strerror(errno));
        return -1;
    }
    errno = posix_fallocate(fd, 0, size > 0 ? size : PAGE);
    if (errno == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        return fd;
    (void)error_set(err, "%lld bytes for TLS sessions: %s", (long long)size,
                    strerror(errno));
    (void)close(fd);
    return -1;
}

struct tls_cache *
tls_cache_open(int fd, struct error *err)
{
    struct stat about;

    if (fstat(fd, &about) != 0 || about.st_size < PAGE) {
        (void)error_set(err, "the table of TLS sessions is damaged");
        (void)close(fd);
        return NULL;
    }
    size_t count = (size_t)about.st_size / PAGE;
    void *memory =
        mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        (void)error_set(err, "mmap of TLS sessions: %s", strerror(errno));
        (void)close(fd);
        return NULL;
    }
    struct tls_cache *c = xmalloc(sizeof *c);
    *c = (struct tls_cache){.pages = memory, .count = count, .fd = fd};
    return c;
}

void
tls_cache_close(struct tls_cache *c)
{
    if (c == NULL)
        return;
    (void)munmap(c->pages, c->count * PAGE);
    (void)close(c->fd);
    free(c);
}

/* Ids are random bytes that a server drew. */
static struct page *
page_of(const struct tls_cache *c, struct slice id)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < id.len; i++)
        hash = hash * 31 + (unsigned char)id.ptr[i];
    return &c->pages[hash % c->count];
}

/* The record lock of one page; the kernel drops it when its holder dies. */
static bool
lock(const struct tls_cache *c, const struct page *p, short type)
{
    struct flock region = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)((size_t)(p - c->pages) * PAGE),
        .l_len = PAGE,
    };
    return fcntl(c->fd, F_SETLK, &region) == 0;
}

/* Cuts the next entry off `rest`; false at its end or at nonsense, which a
 * worker gone mad may have left. */
static bool
next(struct slice *rest, struct entry *e, struct slice *session)
{
    if (rest->len < sizeof *e)
        return false;
    memcpy(e, rest->ptr, sizeof *e);
    if (e->id_len > sizeof e->id || e->len > rest->len - sizeof *e)
        return false;
    *session = (struct slice){rest->ptr + sizeof *e, e->len};
    *rest = slice_drop(*rest, sizeof *e + e->len);
    return true;
}

/* A copy of the page as it was at one moment. */
static bool
snapshot(const struct page *p, struct page *copy)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t before = atomic_load_explicit(&p->turn, memory_order_acquire);
        if (before % 2 != 0)
            continue;
        memcpy(&copy->used, &p->used,
               sizeof *copy - offsetof(struct page, used));
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&p->turn, memory_order_relaxed) == before)
            return copy->used <= sizeof copy->packed;
    }
    return false;
}

size_t
tls_cache_get(const struct tls_cache *c, struct slice id, time_t now, char *out)
{
    struct page copy;
    struct entry e;
    struct slice session;

    if (id.len == 0 || !snapshot(page_of(c, id), &copy))
        return 0;
    struct slice rest = {copy.packed, copy.used};
    while (next(&rest, &e, &session)) {
        if (!slice_equal(id, (struct slice){e.id, e.id_len}))
            continue;
        if (e.expiry <= (uint64_t)now || e.len > TLS_CACHE_SESSION_MAX)
            return 0;
        memcpy(out, session.ptr, session.len);
        return session.len;
    }
    return 0;
}

/* What stays of `old` beside a new entry of `wanted` bytes for `id`: neither
 * the same id nor the oldest. */
static uint32_t
keep(const struct page *old, struct slice id, size_t wanted, char *out)
{
    struct slice all = {old->packed, old->used}, rest = all;
    struct entry e;
    struct slice session;
    uint32_t kept = 0;

    while (next(&rest, &e, &session)) {
        size_t size = sizeof e + e.len;
        bool fits = rest.len + size + kept + wanted <= sizeof old->packed;
        if (!fits || slice_equal(id, (struct slice){e.id, e.id_len}))
            continue;
        memcpy(out + kept, session.ptr - sizeof e, size);
        kept += (uint32_t)size;
    }
    return kept;
}

static void
rewrite(struct page *p, const struct entry *e, struct slice session)
{
    uint32_t turn = atomic_load_explicit(&p->turn, memory_order_relaxed);
    struct page fresh = {.used = 0};

    if (turn % 2 == 0 && p->used <= sizeof p->packed)
        fresh.used = keep(p, (struct slice){e->id, e->id_len},
                          sizeof *e + session.len, fresh.packed);
    memcpy(fresh.packed + fresh.used, e, sizeof *e);
    memcpy(fresh.packed + fresh.used + sizeof *e, session.ptr, session.len);
    fresh.used += (uint32_t)(sizeof *e + session.len);

    turn |= 1;
    atomic_store_explicit(&p->turn, turn, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(&p->used, &fresh.used, sizeof *p - offsetof(struct page, used));
    atomic_store_explicit(&p->turn, turn + 1, memory_order_release);
    explicit_bzero(&fresh, sizeof fresh);
}

void
tls_cache_put(struct tls_cache *c, struct slice id, struct slice session,
              time_t expiry)
{
    struct entry e = {.expiry = (uint32_t)expiry,
                      .len = (uint16_t)session.len,
                      .id_len = (uint16_t)id.len};

    if (id.len == 0 || id.len > sizeof e.id || session.len == 0 ||
        session.len > TLS_CACHE_SESSION_MAX)
        return;
    memcpy(e.id, id.ptr, id.len);
    struct page *p = page_of(c, id);
    if (!lock(c, p, F_WRLCK))
        return;
    rewrite(p, &e, session);
    (void)lock(c, p, F_UNLCK);
}
