/* dict_leases.c -- what is held and must be given back: how often a key is
 * leased by all together, and by each process, so that what one held can be
 * given back when it has died. */
#include "base/digest.h"
#include "base/slice.h"
#include "lua/dict_store.h"

#include <arpa/inet.h>

#define DIGEST_SIZE 64

/* "t" and the key's digest -> how many are held. */
struct total_name {
    char kind;
    char digest[DIGEST_SIZE];
};

/* "h", the holder (big endian) and the digest -> how many it holds. */
struct holder_name {
    char kind;
    char worker[4], process[4];
    char digest[DIGEST_SIZE];
};

struct wanted {
    struct total_name total;
    struct holder_name held;
    uint64_t limit; /* 0: give one back */
};

static void
put_u32(char at[4], uint32_t number)
{
    number = htonl(number);
    memcpy(at, &number, sizeof number);
}

static struct holder_name
name_holder(struct dict_holder holder)
{
    struct holder_name name = {.kind = 'h'};

    put_u32(name.worker, holder.worker);
    put_u32(name.process, holder.process);
    return name;
}

static struct wanted
name_wanted(struct slice key, struct dict_holder holder, uint64_t limit)
{
    struct wanted w = {.limit = limit};

    w.total.kind = 't';
    digest_sha256(key, w.total.digest);
    w.held = name_holder(holder);
    memcpy(w.held.digest, w.total.digest, DIGEST_SIZE);
    return w;
}

static uint64_t
number_in(MDB_val data)
{
    uint64_t number = 0;

    if (data.mv_size == sizeof number)
        memcpy(&number, data.mv_data, sizeof number);
    return number;
}

static enum dict_result
count(struct dict *d, MDB_txn *txn, MDB_val name, uint64_t *number)
{
    MDB_val data;
    int rc = mdb_get(txn, d->leases, &name, &data);

    *number = rc == 0 ? number_in(data) : 0;
    return dict_result_of(rc == MDB_NOTFOUND ? 0 : rc);
}

static enum dict_result
store(struct dict *d, MDB_txn *txn, MDB_val name, uint64_t number)
{
    MDB_val data = {sizeof number, &number};
    int rc = number > 0 ? mdb_put(txn, d->leases, &name, &data, 0)
                        : mdb_del(txn, d->leases, &name, NULL);

    return dict_result_of(rc == MDB_NOTFOUND ? 0 : rc);
}

static enum dict_result
lower(struct dict *d, MDB_txn *txn, MDB_val name, uint64_t by)
{
    uint64_t number;
    enum dict_result result = count(d, txn, name, &number);

    if (result != DICT_DONE)
        return result;
    return store(d, txn, name, number > by ? number - by : 0);
}

static enum dict_result
take(struct dict *d, MDB_txn *txn, void *arg)
{
    struct wanted *w = arg;
    MDB_val total = {sizeof w->total, &w->total};
    MDB_val held = {sizeof w->held, &w->held};
    uint64_t all, own;
    enum dict_result result = count(d, txn, total, &all);

    if (result != DICT_DONE)
        return result;
    if (all >= w->limit)
        return DICT_PRESENT;
    result = store(d, txn, total, all + 1);
    if (result == DICT_DONE)
        result = count(d, txn, held, &own);
    return result == DICT_DONE ? store(d, txn, held, own + 1) : result;
}

static enum dict_result
give_back(struct dict *d, MDB_txn *txn, void *arg)
{
    struct wanted *w = arg;
    MDB_val total = {sizeof w->total, &w->total};
    MDB_val held = {sizeof w->held, &w->held};
    uint64_t own;
    enum dict_result result = count(d, txn, held, &own);

    if (result != DICT_DONE)
        return result;
    if (own == 0)
        return DICT_ABSENT;
    result = store(d, txn, held, own - 1);
    return result == DICT_DONE ? lower(d, txn, total, 1) : result;
}

enum dict_result
dict_lease(struct dict *d, struct slice key, uint64_t limit,
           struct dict_holder holder)
{
    struct wanted w = name_wanted(key, holder, limit);

    return dict_change(
        d, &(struct dict_change){.apply = take, .arg = &w, .grows = true});
}

enum dict_result
dict_give_back(struct dict *d, struct slice key, struct dict_holder holder)
{
    struct wanted w = name_wanted(key, holder, 0);

    return dict_change(d, &(struct dict_change){.apply = give_back, .arg = &w});
}

enum dict_result
dict_leased(struct dict *d, struct slice key, uint64_t *held)
{
    struct wanted w = name_wanted(key, (struct dict_holder){0, 0}, 0);
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = count(d, txn, (MDB_val){sizeof w.total, &w.total}, held);
    dict_looked(d, txn);
    return result;
}

/* One row of a process that has gone.  DICT_ABSENT: there is none. */
static enum dict_result
reap_one(struct dict *d, MDB_txn *txn, MDB_cursor *cursor,
         struct dict_holder next)
{
    struct holder_name first =
        name_holder((struct dict_holder){next.worker, 0});
    struct holder_name end = name_holder(next), held;
    MDB_val name = {sizeof first, &first}, data;
    enum dict_result result =
        dict_result_of(mdb_cursor_get(cursor, &name, &data, MDB_SET_RANGE));

    if (result != DICT_DONE)
        return result;
    if (name.mv_size != sizeof held || memcmp(name.mv_data, &end, 9) >= 0)
        return DICT_ABSENT;
    memcpy(&held, name.mv_data, sizeof held);
    struct total_name total = {.kind = 't'};
    memcpy(total.digest, held.digest, DIGEST_SIZE);
    uint64_t number = number_in(data);
    result = dict_result_of(mdb_cursor_del(cursor, 0));
    if (result != DICT_DONE)
        return result;
    return lower(d, txn, (MDB_val){sizeof total, &total}, number);
}

/* A batch of them; DICT_ABSENT: there was none. */
static enum dict_result
reap(struct dict *d, MDB_txn *txn, void *arg)
{
    const struct dict_holder *next = arg;
    enum dict_result result = DICT_DONE;
    MDB_cursor *cursor;
    size_t reaped = 0;

    int rc = mdb_cursor_open(txn, d->leases, &cursor);
    if (rc != 0)
        return dict_result_of(rc);
    while (result == DICT_DONE && reaped < d->batch) {
        result = reap_one(d, txn, cursor, *next);
        reaped += result == DICT_DONE;
    }
    mdb_cursor_close(cursor);
    return result == DICT_ABSENT && reaped > 0 ? DICT_DONE : result;
}

enum dict_result
dict_reap(struct dict *d, struct dict_holder next)
{
    enum dict_result result;

    do {
        result =
            dict_change(d, &(struct dict_change){.apply = reap, .arg = &next});
    } while (result == DICT_DONE);
    return result == DICT_ABSENT ? DICT_DONE : result;
}
