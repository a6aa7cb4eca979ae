#include "lua/dict.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/dict_store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Seconds that the lock is waited for: a holder may have to wait for a CPU.
 * It is not fair, so as long as others get it there are more turns.  For a
 * while after that was in vain, less. */
#define LOCK_LIMIT  0.5
#define LOCK_TURNS  4
#define LOCK_SHORT  0.01
#define LOCK_PAUSE  1.
#define ROUNDS      256 /* transactions that make room for one change */
#define TABLES      3
#define NANOSECONDS 1000000000L

/* The last page of the file, behind LMDB's map. */
struct dict_page {
    pthread_mutex_t mutex;
    uint64_t turn;
    _Atomic uint64_t holds; /* how often the lock was taken */
};

/* --- the lock --- */

static double
seconds_of(struct timespec t)
{
    return (double)t.tv_sec + (double)t.tv_nsec / NANOSECONDS;
}

static struct timespec
later(struct timespec t, double seconds)
{
    t.tv_nsec += (long)(seconds * NANOSECONDS);
    t.tv_sec += t.tv_nsec / NANOSECONDS;
    t.tv_nsec %= NANOSECONDS;
    return t;
}

static uint64_t
holds_of(const struct dict_page *page)
{
    return atomic_load_explicit(&page->holds, memory_order_relaxed);
}

static int
wait_until(struct dict *d, struct timespec limit)
{
    return pthread_mutex_clocklock(&d->page->mutex, CLOCK_MONOTONIC, &limit);
}

static int
wait_for_lock(struct dict *d)
{
    struct timespec now;
    uint64_t holds;
    int rc;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (seconds_of(now) < d->patient_from)
        return wait_until(d, later(now, LOCK_SHORT));
    for (int turn = 0; turn < LOCK_TURNS; turn++) {
        holds = holds_of(d->page);
        now = later(now, LOCK_LIMIT);
        rc = wait_until(d, now);
        if (rc != ETIMEDOUT)
            return rc;
        if (holds_of(d->page) == holds)
            break;
    }
    d->patient_from = seconds_of(now) + LOCK_PAUSE;
    return ETIMEDOUT;
}

/* What a holder that died has not committed is not there. */
static enum dict_result
lock(struct dict *d)
{
    int rc = pthread_mutex_trylock(&d->page->mutex);

    if (rc == EBUSY)
        rc = wait_for_lock(d);
    if (rc == EOWNERDEAD)
        rc = pthread_mutex_consistent(&d->page->mutex);
    if (rc == 0) {
        atomic_fetch_add_explicit(&d->page->holds, 1, memory_order_relaxed);
        return DICT_DONE;
    }
    if (rc == ETIMEDOUT)
        return DICT_BUSY;
    log_error("shared: lock: %s", strerror(rc));
    return DICT_BROKEN;
}

static void
unlock(struct dict *d)
{
    require(pthread_mutex_unlock(&d->page->mutex) == 0);
}

/* The kernel, which lets go of the locks of those who die, finds the thread in
 * the word of a robust lock: no holder can be stopped before it is there.  It
 * is the first thread of its process, since no other uses dicts. */
struct dict_hold
dict_hold_of(const struct dict_page *page)
{
    int word = __atomic_load_n(&page->mutex.__data.__lock, __ATOMIC_RELAXED);

    return (struct dict_hold){
        .process = word & FUTEX_TID_MASK,
        .number = holds_of(page),
    };
}

static bool
init_page(struct dict_page *page, struct error *err)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (rc == 0)
        rc = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (rc == 0)
        rc = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (rc == 0)
        rc = pthread_mutex_init(&page->mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return rc == 0 || error_set(err, "lock: %s", strerror(rc));
}

/* --- transactions --- */

enum dict_result
dict_result_of(int rc)
{
    if (rc == MDB_SUCCESS)
        return DICT_DONE;
    if (rc == MDB_NOTFOUND)
        return DICT_ABSENT;
    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
        return DICT_FULL;
    log_error("shared: %s", mdb_strerror(rc));
    return DICT_BROKEN;
}

enum dict_result
dict_look(struct dict *d, MDB_txn **txn)
{
    enum dict_result result = lock(d);

    if (result != DICT_DONE)
        return result;
    result = dict_result_of(mdb_txn_begin(d->env, NULL, MDB_RDONLY, txn));
    if (result != DICT_DONE)
        unlock(d);
    return result;
}

void
dict_looked(struct dict *d, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    unlock(d);
}

static size_t
pages_in_use(const struct dict *d, MDB_txn *txn)
{
    /* 0 and 1 are LMDB's own: free pages, names of tables. */
    const MDB_dbi all[] = {0, 1, d->rows, d->order, d->leases};
    size_t pages = 0;
    MDB_stat stat;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (mdb_stat(txn, all[i], &stat) == 0)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages +
                     stat.ms_overflow_pages;
    }
    return pages;
}

size_t
dict_pages_left(const struct dict *d, MDB_txn *txn)
{
    size_t used = pages_in_use(d, txn);

    return used < d->crowded ? d->crowded - used : 0;
}

static enum dict_result
settle(MDB_txn *txn, enum dict_result result)
{
    if (result == DICT_DONE)
        return dict_result_of(mdb_txn_commit(txn));
    mdb_txn_abort(txn);
    return result;
}

static enum dict_result
attempt(struct dict *d, const struct dict_change *change)
{
    MDB_txn *txn;
    enum dict_result result =
        dict_result_of(mdb_txn_begin(d->env, NULL, 0, &txn));

    if (result != DICT_DONE)
        return result;
    if (change->grows && dict_pages_left(d, txn) == 0)
        result = DICT_FULL;
    else
        result = change->apply(d, txn, change->arg);
    return settle(txn, result);
}

/* In a transaction of its own: pages that become free in one are of no use to
 * it.  false if there is nothing to remove. */
static bool
remove_some(struct dict *d, uint64_t now)
{
    MDB_txn *txn;

    if (dict_result_of(mdb_txn_begin(d->env, NULL, 0, &txn)) != DICT_DONE)
        return false;
    size_t removed = dict_remove_first(d, txn, d->batch, now);
    return settle(txn, removed > 0 ? DICT_DONE : DICT_ABSENT) == DICT_DONE;
}

static bool
make_room(struct dict *d, const struct dict_change *change)
{
    if (remove_some(d, change->now))
        return true;
    if (change->keeps || !remove_some(d, UINT64_MAX))
        return false;
    d->forced = true;
    return true;
}

enum dict_result
dict_change(struct dict *d, const struct dict_change *change)
{
    enum dict_result result = lock(d);

    if (result != DICT_DONE)
        return result;
    d->forced = false;
    for (int i = 0; i < ROUNDS; i++) {
        result = attempt(d, change);
        if (result != DICT_FULL || !change->grows || !make_room(d, change))
            break;
    }
    unlock(d);
    return result;
}

uint64_t
dict_turn(struct dict *d)
{
    return ++d->page->turn;
}

/* --- names --- */

void
dict_name_of(struct slice key, struct dict_name *name)
{
    name->digested = key.len >= DICT_NAME_MAX;
    name->bytes[0] = name->digested ? 'd' : 'k';
    if (name->digested) {
        digest_sha256(key, name->bytes + 1);
        name->len = 1 + 64;
    } else {
        memcpy(name->bytes + 1, key.ptr, key.len);
        name->len = 1 + key.len;
    }
}

MDB_val
dict_name_val(struct dict_name *name)
{
    return (MDB_val){name->len, name->bytes};
}

/* --- life --- */

static size_t
page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* LMDB wants a path.  The file is only in this process's hands. */
static int
open_environment(int fd, size_t size, MDB_env **env)
{
    char path[64];
    int rc = mdb_env_create(env);

    if (rc != 0)
        return rc;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = mdb_env_set_mapsize(*env, size);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(*env, TABLES);
    if (rc == 0)
        rc = mdb_env_open(*env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC,
                          0600);
    return rc;
}

static int
open_tables(MDB_env *env, unsigned flags, struct dict *d)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, flags == 0 ? MDB_RDONLY : 0, &txn);

    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "rows", flags, &d->rows);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "order", flags, &d->order);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "leases", flags, &d->leases);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static void *
map_page(int fd, size_t at, int protection, struct error *err)
{
    void *page = mmap(NULL, page_size(), protection, MAP_SHARED, fd, (off_t)at);

    if (page != MAP_FAILED)
        return page;
    (void)error_set(err, "mmap: %s", strerror(errno));
    return NULL;
}

/* The file begins with what LMDB writes into an empty one.  All of its pages
 * are there from then on: a write to one that is not could end a process. */
static bool
fill(int fd, size_t size, struct error *err)
{
    MDB_env *env = NULL;
    struct dict tables;
    struct dict_page *page;
    int rc = open_environment(fd, size, &env);

    if (rc == 0)
        rc = open_tables(env, MDB_CREATE, &tables);
    mdb_env_close(env);
    if (rc != 0)
        return error_set(err, "%zu bytes: %s", size, mdb_strerror(rc));
    errno = posix_fallocate(fd, 0, (off_t)(size + page_size()));
    if (errno != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        return error_set(err, "%zu bytes: %s", size, strerror(errno));
    page = map_page(fd, size, PROT_READ | PROT_WRITE, err);
    if (page == NULL)
        return false;
    bool done = init_page(page, err);
    (void)munmap(page, page_size());
    return done;
}

int
dict_create(size_t size, struct error *err)
{
    int fd = memfd_create("moongate-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        (void)error_set(err, "memfd: %s", strerror(errno));
        return -1;
    }
    if (fill(fd, size / page_size() * page_size(), err))
        return fd;
    (void)close(fd);
    return -1;
}

/* Bytes of LMDB's map, which the page follows; or 0. */
static size_t
size_of_map(int fd, struct error *err)
{
    struct stat about;

    if (fstat(fd, &about) == 0 && about.st_size >= DICT_SIZE_MIN)
        return (size_t)about.st_size - page_size();
    (void)error_set(err, "the file is damaged");
    return 0;
}

static bool
open_parts(struct dict *d, int fd, struct error *err)
{
    size_t size = size_of_map(fd, err);
    int rc;

    if (size == 0)
        return false;
    size_t pages = size / d->page_size;
    d->size = size;
    d->crowded = pages - pages / 4;
    d->batch = pages / 4 / 16;
    d->value_max = size / 64 < DICT_VALUE_MAX ? size / 64 : DICT_VALUE_MAX;
    d->value = xmalloc(d->value_max);
    d->page = map_page(fd, size, PROT_READ | PROT_WRITE, err);
    if (d->page == NULL)
        return false;
    rc = open_environment(fd, size, &d->env);
    if (rc == 0)
        rc = lock(d) == DICT_DONE ? 0 : EBUSY;
    if (rc == 0) {
        rc = open_tables(d->env, 0, d);
        unlock(d);
    }
    return rc == 0 || error_set(err, "%s", mdb_strerror(rc));
}

struct dict *
dict_open(int fd, struct error *err)
{
    struct dict *d = xcalloc(1, sizeof *d);

    d->page_size = page_size();
    bool opened = open_parts(d, fd, err);
    (void)close(fd);
    if (opened)
        return d;
    dict_close(d);
    return NULL;
}

void
dict_close(struct dict *d)
{
    if (d == NULL)
        return;
    mdb_env_close(d->env);
    if (d->page != NULL)
        (void)munmap(d->page, d->page_size);
    free(d->value);
    free(d);
}

size_t
dict_value_max(const struct dict *d)
{
    return d->value_max;
}

const struct dict_page *
dict_watch(int fd, struct error *err)
{
    size_t size = size_of_map(fd, err);

    return size > 0 ? map_page(fd, size, PROT_READ, err) : NULL;
}

void
dict_unwatch(const struct dict_page *page)
{
    if (page != NULL)
        (void)munmap((void *)(uintptr_t)page, page_size());
}

size_t
dict_size(const struct dict *d)
{
    return d->size;
}

bool
dict_has_forced(const struct dict *d)
{
    return d->forced;
}

enum dict_result
dict_free_space(struct dict *d, size_t *bytes)
{
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    *bytes = dict_pages_left(d, txn) * d->page_size;
    dict_looked(d, txn);
    return DICT_DONE;
}
