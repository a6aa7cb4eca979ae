/* dict_edits.c -- changes of one value. */
#include "base/slice.h"
#include "lua/dict_list.h"
#include "lua/dict_rows.h"

#define SWEEP_ROWS 2     /* that are over, removed by each change of another */
#define STALE      60000 /* milliseconds that they are left until then */

enum way {
    SET,
    ADD,
    REPLACE,
    ADD_TO,
    ADD_TO_PRESENT,
    TAKE,
    PUSH,
    POP,
    EXPIRE,
    DELETE
};

struct edit {
    enum way way;
    struct slice key;
    struct dict_value value;  /* ADD_TO: where to begin; PUSH: what is added */
    struct dict_value result; /* that was written; POP: that was taken */
    struct dict_bucket *bucket;
    double by;
    enum dict_end end; /* of a list */
    struct slice list; /* what it comes to, in d->value */
    struct dict_when when;
};

static struct slice
payload(const struct dict_value *value)
{
    if (value->type == DICT_STRING || value->type == DICT_LIST)
        return value->text;
    return (struct slice){(const char *)&value->number, sizeof value->number};
}

static void
lay_out(char *at, const struct dict_row *row, struct slice key,
        struct slice value)
{
    memcpy(at, row, sizeof *row);
    at += sizeof *row;
    if (row->key_len > 0)
        memcpy(at, key.ptr, row->key_len);
    if (value.len > 0)
        memcpy(at + row->key_len, value.ptr, value.len);
}

static enum dict_result
put(struct dict *d, MDB_txn *txn, const struct edit *e, struct dict_row *row)
{
    struct slice value = payload(&e->value);
    struct dict_name name;

    dict_name_of(e->key, &name);
    row->type = (uint16_t)e->value.type;
    row->flags = e->value.flags;
    row->key_len = name.digested ? (uint16_t)e->key.len : 0;
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
             struct dict_row *row, const struct dict_row *old)
{
    struct dict_name name;
    enum dict_result result = DICT_DONE;

    if (old != NULL && old->expiry == row->expiry &&
        row->expiry != DICT_NEVER) {
        row->turn = old->turn;
        return DICT_DONE;
    }
    if (old != NULL)
        result = dict_row_take_out_of_order(d, txn, old);
    if (result != DICT_DONE)
        return result;
    row->turn = dict_turn(d);
    dict_name_of(e->key, &name);
    struct dict_place place = dict_place_of(row);
    MDB_val at = {sizeof place, &place}, called = dict_name_val(&name);
    return dict_result_of(mdb_put(txn, d->order, &at, &called, 0));
}

static enum dict_result
write_row(struct dict *d, MDB_txn *txn, const struct edit *e,
          const struct dict_row *old, uint64_t expiry)
{
    struct dict_row row = {.expiry = expiry};
    enum dict_result result = put_in_order(d, txn, e, &row, old);

    return result == DICT_DONE ? put(d, txn, e, &row) : result;
}

static enum dict_result
delete_row(struct dict *d, MDB_txn *txn, const struct edit *e,
           const struct dict_row *old)
{
    struct dict_name name;

    dict_name_of(e->key, &name);
    MDB_val called = dict_name_val(&name);
    enum dict_result result =
        dict_result_of(mdb_del(txn, d->rows, &called, NULL));
    return result == DICT_DONE ? dict_row_take_out_of_order(d, txn, old)
                               : result;
}

static enum dict_result
add_up(struct edit *e, const struct dict_found *old)
{
    if (old->row.type != DICT_NUMBER)
        return DICT_NO_NUMBER;
    memcpy(&e->value.number, old->value.ptr, sizeof e->value.number);
    e->value.number += e->by;
    e->value.flags = old->row.flags;
    return DICT_DONE;
}

/* Tokens that are missing are time that must go by until it is full. */
static enum dict_result
take_token(struct edit *e, const struct dict_found *old)
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

static enum dict_result
push_element(struct dict *d, struct edit *e, const struct dict_found *old)
{
    struct slice list = {"", 0};

    if (old != NULL && old->row.type != DICT_LIST)
        return DICT_NO_LIST;
    if (old != NULL)
        list = old->value;
    size_t len =
        dict_list_push(list, &e->value, e->end, d->value, d->value_max);
    if (len == 0)
        return DICT_TOO_LONG;
    e->value = (struct dict_value){.type = DICT_LIST, .text = {d->value, len}};
    return DICT_DONE;
}

static enum dict_result
pop_element(struct dict *d, struct edit *e, const struct dict_found *old)
{
    size_t len;

    if (old == NULL)
        return DICT_ABSENT;
    if (old->row.type != DICT_LIST)
        return DICT_NO_LIST;
    if (old->value.len > d->value_max ||
        !dict_list_pop(old->value, e->end, d->value, &len, &e->value))
        return DICT_ABSENT;
    e->list = (struct slice){d->value, len};
    return DICT_DONE;
}

/* The same again: what it is lies where something else is about to be. */
static enum dict_result
keep_value(struct dict *d, struct edit *e, const struct dict_found *old)
{
    if (old == NULL || old->value.len > d->value_max)
        return DICT_ABSENT;
    memcpy(d->value, old->value.ptr, old->value.len);
    e->value = (struct dict_value){
        .type = (enum dict_type)old->row.type,
        .text = {d->value, old->value.len},
        .flags = old->row.flags,
    };
    if (payload(&e->value).ptr != d->value)
        memcpy(&e->value.number, d->value, sizeof e->value.number);
    return DICT_DONE;
}

static uint64_t
end_of(const struct edit *e)
{
    return e->when.expiry == 0 ? DICT_NEVER : e->when.expiry;
}

/* Whether what is there is over when it would have been. */
static bool
keeps_expiry(enum way way)
{
    return way == ADD_TO || way == ADD_TO_PRESENT || way == PUSH || way == POP;
}

/* What is written; `live` is NULL where there is none. */
static enum dict_result
make_value(struct dict *d, struct edit *e, const struct dict_found *live)
{
    switch (e->way) {
    case ADD:
        return live != NULL ? DICT_PRESENT : DICT_DONE;
    case REPLACE:
    case DELETE:
        return live != NULL ? DICT_DONE : DICT_ABSENT;
    case ADD_TO_PRESENT:
        return live != NULL ? add_up(e, live) : DICT_ABSENT;
    case ADD_TO:
        if (live != NULL)
            return add_up(e, live);
        e->value.number += e->by;
        break;
    case TAKE:
        return take_token(e, live);
    case PUSH:
        return push_element(d, e, live);
    case POP:
        return pop_element(d, e, live);
    case EXPIRE:
        return keep_value(d, e, live);
    case SET:
        break;
    }
    return DICT_DONE;
}

/* What a list has left is written in the place of what was taken out of it; of
 * what is deleted, nothing is. */
static enum dict_result
write_rest(struct dict *d, MDB_txn *txn, const struct edit *e,
           const struct dict_row *old)
{
    struct edit rest = *e;

    require(old != NULL);
    if (e->list.len == 0)
        return delete_row(d, txn, e, old);
    rest.value = (struct dict_value){.type = DICT_LIST, .text = e->list};
    return write_row(d, txn, &rest, old, old->expiry);
}

static enum dict_result
apply_to(struct dict *d, MDB_txn *txn, struct edit *e,
         const struct dict_found *old)
{
    bool live = old != NULL && !dict_row_is_over(&old->row, e->when.now);
    const struct dict_row *row = old != NULL ? &old->row : NULL;

    enum dict_result result = make_value(d, e, live ? old : NULL);
    if (result != DICT_DONE)
        return result;
    if (e->way == DELETE || e->way == POP)
        return write_rest(d, txn, e, row);
    return write_row(d, txn, e, row,
                     live && keeps_expiry(e->way) ? old->row.expiry
                                                  : end_of(e));
}

/* To a copy of the edit: it may be applied again. */
static enum dict_result
apply(struct dict *d, MDB_txn *txn, void *arg)
{
    struct edit *edit = arg, again = *edit;
    struct dict_found old;
    uint64_t now = again.when.now;

    (void)dict_remove_first(d, txn, SWEEP_ROWS, now > STALE ? now - STALE : 0);
    enum dict_result found = dict_row_find(d, txn, again.key, &old);
    if (found != DICT_DONE && found != DICT_ABSENT)
        return found;
    enum dict_result result =
        apply_to(d, txn, &again, found == DICT_DONE ? &old : NULL);
    edit->result = again.value;
    return result;
}

static enum dict_result
change(struct dict *d, struct edit *e)
{
    struct dict_change c = {
        .apply = apply,
        .arg = e,
        .grows = e->way != DELETE,
        .keeps = e->when.keeps,
        .now = e->when.now,
    };

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
dict_replace(struct dict *d, struct slice key, const struct dict_value *value,
             struct dict_when when)
{
    struct edit e = {.way = REPLACE, .key = key, .value = *value, .when = when};

    return change(d, &e);
}

enum dict_result
dict_expire(struct dict *d, struct slice key, struct dict_when when)
{
    struct edit e = {.way = EXPIRE, .key = key, .when = when};

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

    if (result == DICT_DONE)
        *number = e.result.number;
    return result;
}

enum dict_result
dict_add_to_present(struct dict *d, struct slice key, double by, uint64_t now,
                    double *sum)
{
    struct edit e = {
        .way = ADD_TO_PRESENT,
        .key = key,
        .value.type = DICT_NUMBER,
        .by = by,
        .when.now = now,
    };
    enum dict_result result = change(d, &e);

    if (result == DICT_DONE)
        *sum = e.result.number;
    return result;
}

enum dict_result
dict_push(struct dict *d, struct dict_list_end at,
          const struct dict_value *value, uint64_t now, uint32_t *count)
{
    struct edit e = {
        .way = PUSH,
        .key = at.key,
        .end = at.end,
        .value = *value,
        .when.now = now,
    };
    enum dict_result result = change(d, &e);

    if (result == DICT_DONE)
        *count = dict_list_count(e.result.text);
    return result;
}

enum dict_result
dict_pop(struct dict *d, struct dict_list_end at, uint64_t now,
         struct dict_value *value)
{
    struct edit e = {
        .way = POP,
        .key = at.key,
        .end = at.end,
        .when.now = now,
    };
    enum dict_result result = change(d, &e);

    if (result == DICT_DONE)
        *value = e.result;
    return result;
}
