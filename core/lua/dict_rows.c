/* dict_rows.c -- the values of a dict, and the order in which they go. */
#include "base/slice.h"
#include "lua/dict_store.h"

#include <endian.h>

#define NEVER      UINT64_MAX
#define SWEEP_ROWS 2 /* that are over, removed by each change of another */

/* Then follow the key, if its name is a digest, and the value's bytes. */
struct row {
    uint64_t expiry; /* NEVER */
    uint64_t turn;   /* when it was written, counted */
    uint32_t type;
    uint32_t key_len; /* 0: the name is the key */
};

/* Big endian, so that LMDB's order is theirs. */
struct place {
    uint64_t expiry, turn;
};

/* A row as it is in the map: until something is written. */
struct found {
    struct row row;
    struct slice value;
};

static struct place
place_of(const struct row *row)
{
    return (struct place){htobe64(row->expiry), htobe64(row->turn)};
}

/* Nonsense, which a worker gone mad may have left, is absent. */
static bool
read_row(MDB_val data, struct slice key, bool digested, struct found *found)
{
    struct slice rest = {data.mv_data, data.mv_size};

    if (rest.len < sizeof found->row)
        return false;
    memcpy(&found->row, rest.ptr, sizeof found->row);
    rest = slice_drop(rest, sizeof found->row);
    if (found->row.key_len > rest.len ||
        (found->row.type != DICT_STRING && rest.len < sizeof(double)))
        return false;
    found->value = slice_drop(rest, found->row.key_len);
    return !digested || slice_equal(slice_take(rest, found->row.key_len), key);
}

static enum dict_result
find(struct dict *d, MDB_txn *txn, struct slice key, struct found *found)
{
    struct dict_name name;
    MDB_val data;

    dict_name_of(key, &name);
    MDB_val called = dict_name_val(&name);
    enum dict_result result =
        dict_result_of(mdb_get(txn, d->rows, &called, &data));
    if (result != DICT_DONE)
        return result;
    return read_row(data, key, name.digested, found) ? DICT_DONE : DICT_ABSENT;
}

static bool
is_over(const struct row *row, uint64_t now)
{
    return row->expiry <= now;
}

static enum dict_result
find_live(struct dict *d, MDB_txn *txn, struct slice key, uint64_t now,
          struct found *found)
{
    enum dict_result result = find(d, txn, key, found);

    if (result == DICT_DONE && is_over(&found->row, now))
        return DICT_ABSENT;
    return result;
}

static enum dict_result
take_out_of_order(struct dict *d, MDB_txn *txn, const struct row *row)
{
    struct place place = place_of(row);
    MDB_val at = {sizeof place, &place};
    int rc = mdb_del(txn, d->order, &at, NULL);

    return dict_result_of(rc == MDB_NOTFOUND ? 0 : rc);
}

size_t
dict_remove_first(struct dict *d, MDB_txn *txn, size_t count, uint64_t now)
{
    MDB_cursor *cursor;
    MDB_val at, name;
    struct place place;
    size_t removed = 0;

    if (mdb_cursor_open(txn, d->order, &cursor) != 0)
        return 0;
    while (removed < count &&
           mdb_cursor_get(cursor, &at, &name, MDB_FIRST) == 0) {
        if (at.mv_size != sizeof place)
            break;
        memcpy(&place, at.mv_data, sizeof place);
        if (be64toh(place.expiry) > now)
            break;
        int rc = mdb_del(txn, d->rows, &name, NULL);
        if ((rc != 0 && rc != MDB_NOTFOUND) || mdb_cursor_del(cursor, 0) != 0)
            break;
        removed++;
    }
    mdb_cursor_close(cursor);
    return removed;
}

/* --- changes --- */

enum way { SET, ADD, ADD_TO, TAKE, DELETE };

struct edit {
    enum way way;
    struct slice key;
    struct dict_value value; /* ADD_TO: where to begin, then the sum; TAKE:
                                when the bucket is full again */
    struct dict_bucket *bucket;
    double by;
    struct dict_when when;
};

static struct slice
payload(const struct dict_value *value)
{
    if (value->type == DICT_STRING)
        return value->text;
    return (struct slice){(const char *)&value->number, sizeof value->number};
}

static void
lay_out(char *at, const struct row *row, struct slice key, struct slice value)
{
    memcpy(at, row, sizeof *row);
    at += sizeof *row;
    if (row->key_len > 0)
        memcpy(at, key.ptr, row->key_len);
    if (value.len > 0)
        memcpy(at + row->key_len, value.ptr, value.len);
}

static enum dict_result
put(struct dict *d, MDB_txn *txn, const struct edit *e, struct row *row)
{
    struct slice value = payload(&e->value);
    struct dict_name name;

    dict_name_of(e->key, &name);
    row->type = e->value.type;
    row->key_len = name.digested ? (uint32_t)e->key.len : 0;
    MDB_val called = dict_name_val(&name);
    MDB_val data = {sizeof *row + row->key_len + value.len, NULL};
    int rc = mdb_put(txn, d->rows, &called, &data, MDB_RESERVE);
    if (rc != 0)
        return dict_result_of(rc);
    lay_out(data.mv_data, row, e->key, value);
    return DICT_DONE;
}

/* One that keeps its end keeps its place, unless that is told by when it was
 * written. */
static enum dict_result
put_in_order(struct dict *d, MDB_txn *txn, const struct edit *e,
             struct row *row, const struct row *old)
{
    struct dict_name name;
    enum dict_result result = DICT_DONE;

    if (old != NULL && old->expiry == row->expiry && row->expiry != NEVER) {
        row->turn = old->turn;
        return DICT_DONE;
    }
    if (old != NULL)
        result = take_out_of_order(d, txn, old);
    if (result != DICT_DONE)
        return result;
    row->turn = dict_turn(d);
    dict_name_of(e->key, &name);
    struct place place = place_of(row);
    MDB_val at = {sizeof place, &place}, called = dict_name_val(&name);
    return dict_result_of(mdb_put(txn, d->order, &at, &called, 0));
}

static enum dict_result
write_row(struct dict *d, MDB_txn *txn, const struct edit *e,
          const struct row *old, uint64_t expiry)
{
    struct row row = {.expiry = expiry};
    enum dict_result result = put_in_order(d, txn, e, &row, old);

    return result == DICT_DONE ? put(d, txn, e, &row) : result;
}

static enum dict_result
delete_row(struct dict *d, MDB_txn *txn, const struct edit *e,
           const struct row *old)
{
    struct dict_name name;

    dict_name_of(e->key, &name);
    MDB_val called = dict_name_val(&name);
    enum dict_result result =
        dict_result_of(mdb_del(txn, d->rows, &called, NULL));
    return result == DICT_DONE ? take_out_of_order(d, txn, old) : result;
}

/* The sum is left in a copy: the change may be applied again. */
static enum dict_result
add_up(struct edit *e, const struct found *old)
{
    if (old->row.type != DICT_NUMBER)
        return DICT_NO_NUMBER;
    memcpy(&e->value.number, old->value.ptr, sizeof e->value.number);
    return DICT_DONE;
}

/* Tokens that are missing are time that must go by until it is full. */
static enum dict_result
take_token(struct edit *e, const struct found *old)
{
    struct dict_bucket *b = e->bucket;
    double now = (double)e->when.now, full = 0, most;

    if (old != NULL && old->row.type != DICT_NUMBER)
        return DICT_NO_NUMBER;
    if (old != NULL)
        memcpy(&full, old->value.ptr, sizeof full);
    most = now + b->interval * (b->capacity - 1);
    if (!(full >= now))
        full = now;
    b->wait = full - most;
    if (b->wait > 0)
        return DICT_PRESENT;
    b->wait = 0;
    e->value.number = full + b->interval;
    e->when.expiry = (uint64_t)e->value.number + 1;
    return DICT_DONE;
}

static uint64_t
end_of(const struct edit *e)
{
    return e->when.expiry == 0 ? NEVER : e->when.expiry;
}

static enum dict_result
apply_to(struct dict *d, MDB_txn *txn, struct edit *e, const struct found *old)
{
    bool live = old != NULL && !is_over(&old->row, e->when.now);
    const struct row *row = old != NULL ? &old->row : NULL;
    enum dict_result result = DICT_DONE;

    switch (e->way) {
    case DELETE:
        return live ? delete_row(d, txn, e, row) : DICT_ABSENT;
    case ADD:
        if (live)
            return DICT_PRESENT;
        break;
    case ADD_TO:
        if (live)
            result = add_up(e, old);
        e->value.number += e->by;
        break;
    case TAKE:
        result = take_token(e, live ? old : NULL);
        break;
    case SET:
        break;
    }
    if (result != DICT_DONE)
        return result;
    return write_row(d, txn, e, row,
                     live && e->way == ADD_TO ? old->row.expiry : end_of(e));
}

static enum dict_result
apply(struct dict *d, MDB_txn *txn, void *arg)
{
    struct edit *edit = arg, again = *edit;
    struct found old;

    (void)dict_remove_first(d, txn, SWEEP_ROWS, again.when.now);
    enum dict_result found = find(d, txn, again.key, &old);
    if (found != DICT_DONE && found != DICT_ABSENT)
        return found;
    enum dict_result result =
        apply_to(d, txn, &again, found == DICT_DONE ? &old : NULL);
    if (result == DICT_DONE)
        edit->value.number = again.value.number;
    return result;
}

static enum dict_result
change(struct dict *d, struct edit *e)
{
    struct dict_change c = {apply, e, e->way != DELETE};

    if (payload(&e->value).len > d->value_max)
        return DICT_TOO_LONG;
    require(e->key.len <= DICT_KEY_MAX);
    return dict_change(d, &c);
}

enum dict_result
dict_set(struct dict *d, struct slice key, const struct dict_value *value,
         struct dict_when when)
{
    struct edit e = {.way = SET, .key = key, .value = *value, .when = when};

    return change(d, &e);
}

enum dict_result
dict_add(struct dict *d, struct slice key, const struct dict_value *value,
         struct dict_when when)
{
    struct edit e = {.way = ADD, .key = key, .value = *value, .when = when};

    return change(d, &e);
}

enum dict_result
dict_delete(struct dict *d, struct slice key, uint64_t now)
{
    struct edit e = {.way = DELETE, .key = key, .when.now = now};

    return change(d, &e);
}

enum dict_result
dict_take(struct dict *d, struct slice key, uint64_t now,
          struct dict_bucket *bucket)
{
    struct edit e = {
        .way = TAKE,
        .key = key,
        .value.type = DICT_NUMBER,
        .bucket = bucket,
        .when.now = now,
    };

    return change(d, &e);
}

enum dict_result
dict_add_to(struct dict *d, struct slice key, double by, struct dict_when when,
            double *number)
{
    struct edit e = {
        .way = ADD_TO,
        .key = key,
        .value = {.type = DICT_NUMBER, .number = *number},
        .by = by,
        .when = when,
    };
    enum dict_result result = change(d, &e);

    *number = e.value.number;
    return result;
}

/* --- looks --- */

enum dict_result
dict_get(struct dict *d, struct slice key, uint64_t now,
         struct dict_value *value)
{
    struct found found;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = find_live(d, txn, key, now, &found);
    if (result == DICT_DONE && found.value.len > d->value_max)
        result = DICT_ABSENT;
    if (result == DICT_DONE) {
        *value = (struct dict_value){.type = (enum dict_type)found.row.type};
        memcpy(d->value, found.value.ptr, found.value.len);
        value->text = (struct slice){d->value, found.value.len};
        if (value->type != DICT_STRING)
            memcpy(&value->number, d->value, sizeof value->number);
    }
    dict_looked(d, txn);
    return result;
}

enum dict_result
dict_expiry(struct dict *d, struct slice key, uint64_t now, uint64_t *expiry)
{
    struct found found;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = find_live(d, txn, key, now, &found);
    if (result == DICT_DONE)
        *expiry = found.row.expiry == NEVER ? 0 : found.row.expiry;
    dict_looked(d, txn);
    return result;
}
