/* dict_whole.c -- a whole dict: emptied, swept, walked through. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/dict_rows.h"

static enum dict_result
drop_all(struct dict *d, MDB_txn *txn, void *arg)
{
    int rc = mdb_drop(txn, d->rows, 0);

    (void)arg;
    return dict_result_of(rc == 0 ? mdb_drop(txn, d->order, 0) : rc);
}

enum dict_result
dict_clear(struct dict *d)
{
    return dict_change(d, &(struct dict_change){.apply = drop_all});
}

struct sweep {
    uint64_t now;
    size_t max, removed;
};

static enum dict_result
sweep(struct dict *d, MDB_txn *txn, void *arg)
{
    struct sweep *s = arg;

    s->removed = dict_remove_first(d, txn, s->max, s->now);
    return DICT_DONE;
}

/* In batches, which let others in between. */
enum dict_result
dict_sweep(struct dict *d, uint64_t now, size_t max, size_t *removed)
{
    enum dict_result result = DICT_DONE;
    struct sweep s = {.now = now};

    *removed = 0;
    while (result == DICT_DONE && *removed < max) {
        s.max = max - *removed < d->batch ? max - *removed : d->batch;
        result =
            dict_change(d, &(struct dict_change){.apply = sweep, .arg = &s});
        if (result != DICT_DONE || s.removed == 0)
            break;
        *removed += s.removed;
    }
    return result;
}

static void
append_key(struct buf *keys, struct slice key)
{
    uint32_t len = (uint32_t)key.len;
    bool ok =
        buf_append(keys, (struct slice){(const char *)&len, sizeof len}) &&
        buf_append(keys, key);

    require(ok);
}

/* The key of a row; NULL: it is nonsense, or over. */
static struct slice
key_of(MDB_val name, MDB_val data, uint64_t now)
{
    struct slice called = {name.mv_data, name.mv_size}, whole = {NULL, 0};
    struct dict_found found;

    if (called.len == 0 || !dict_row_read(data, whole, false, &found) ||
        found.row.key_len > DICT_KEY_MAX || dict_row_is_over(&found.row, now))
        return whole;
    if (found.row.key_len == 0)
        return slice_drop(called, 1);
    return (struct slice){(const char *)data.mv_data + sizeof found.row,
                          found.row.key_len};
}

/* To the first row behind the one that was seen last. */
static int
go_on(MDB_cursor *cursor, const struct dict_walk *walk, MDB_val *name,
      MDB_val *data)
{
    struct dict_walk last = *walk;

    if (walk->len == 0)
        return mdb_cursor_get(cursor, name, data, MDB_FIRST);
    *name = (MDB_val){last.len, last.name};
    int rc = mdb_cursor_get(cursor, name, data, MDB_SET_RANGE);
    if (rc == 0 && name->mv_size == walk->len &&
        memcmp(name->mv_data, walk->name, walk->len) == 0)
        rc = mdb_cursor_get(cursor, name, data, MDB_NEXT);
    return rc;
}

/* DICT_ABSENT: there is no other row. */
static enum dict_result
walk_on(MDB_cursor *cursor, uint64_t now, size_t rows, struct dict_walk *walk,
        struct buf *keys)
{
    MDB_val name, data;
    size_t seen = 0;
    int rc = go_on(cursor, walk, &name, &data);

    while (rc == 0 && name.mv_data != NULL &&
           name.mv_size <= sizeof walk->name) {
        struct slice key = key_of(name, data, now);
        if (key.ptr != NULL)
            append_key(keys, key);
        walk->len = name.mv_size;
        memcpy(walk->name, name.mv_data, name.mv_size);
        if (++seen == rows)
            break;
        rc = mdb_cursor_get(cursor, &name, &data, MDB_NEXT);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return dict_result_of(rc);
    return seen > 0 ? DICT_DONE : DICT_ABSENT;
}

enum dict_result
dict_walk(struct dict *d, uint64_t now, size_t rows, struct dict_walk *walk,
          struct buf *keys)
{
    MDB_cursor *cursor;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    int rc = mdb_cursor_open(txn, d->rows, &cursor);
    if (rc == 0) {
        result = walk_on(cursor, now, rows, walk, keys);
        mdb_cursor_close(cursor);
    }
    dict_looked(d, txn);
    return rc == 0 ? result : dict_result_of(rc);
}
