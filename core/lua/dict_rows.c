/* dict_rows.c -- the values of a dict as they lie in it, read and found. */
#include "lua/dict_rows.h"

#include "base/slice.h"
#include "lua/dict_list.h"

#include <endian.h>

struct dict_place
dict_place_of(const struct dict_row *row)
{
    return (struct dict_place){htobe64(row->expiry), htobe64(row->turn)};
}

bool
dict_row_read(MDB_val data, struct slice key, bool digested,
              struct dict_found *found)
{
    struct slice rest = {data.mv_data, data.mv_size};

    if (rest.len < sizeof found->row)
        return false;
    memcpy(&found->row, rest.ptr, sizeof found->row);
    rest = slice_drop(rest, sizeof found->row);
    if (found->row.key_len > rest.len ||
        ((found->row.type == DICT_NUMBER || found->row.type == DICT_BOOLEAN) &&
         rest.len < found->row.key_len + sizeof(double)))
        return false;
    found->value = slice_drop(rest, found->row.key_len);
    return !digested || slice_equal(slice_take(rest, found->row.key_len), key);
}

enum dict_result
dict_row_find(struct dict *d, MDB_txn *txn, struct slice key,
              struct dict_found *found)
{
    struct dict_name name;
    MDB_val data;

    dict_name_of(key, &name);
    MDB_val called = dict_name_val(&name);
    enum dict_result result =
        dict_result_of(mdb_get(txn, d->rows, &called, &data));
    if (result != DICT_DONE)
        return result;
    return dict_row_read(data, key, name.digested, found) ? DICT_DONE
                                                          : DICT_ABSENT;
}

bool
dict_row_is_over(const struct dict_row *row, uint64_t now)
{
    return row->expiry <= now;
}

enum dict_result
dict_row_find_live(struct dict *d, MDB_txn *txn, struct slice key, uint64_t now,
                   struct dict_found *found)
{
    enum dict_result result = dict_row_find(d, txn, key, found);

    if (result == DICT_DONE && dict_row_is_over(&found->row, now))
        return DICT_ABSENT;
    return result;
}

enum dict_result
dict_row_take_out_of_order(struct dict *d, MDB_txn *txn,
                           const struct dict_row *row)
{
    struct dict_place place = dict_place_of(row);
    MDB_val at = {sizeof place, &place};
    int rc = mdb_del(txn, d->order, &at, NULL);

    return dict_result_of(rc == MDB_NOTFOUND ? 0 : rc);
}

size_t
dict_remove_first(struct dict *d, MDB_txn *txn, size_t count, uint64_t now)
{
    MDB_cursor *cursor;
    MDB_val at, name;
    struct dict_place place;
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

/* --- looks --- */

enum dict_result
dict_get(struct dict *d, struct slice key, uint64_t now,
         struct dict_value *value)
{
    struct dict_found found;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = dict_row_find_live(d, txn, key, now, &found);
    if (result == DICT_DONE && found.value.len > d->value_max)
        result = DICT_ABSENT;
    if (result == DICT_DONE && found.row.type == DICT_LIST)
        result = DICT_NO_VALUE;
    if (result == DICT_DONE) {
        *value = (struct dict_value){
            .type = (enum dict_type)found.row.type,
            .flags = found.row.flags,
            .expiry = found.row.expiry == DICT_NEVER ? 0 : found.row.expiry,
        };
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
    struct dict_found found;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = dict_row_find_live(d, txn, key, now, &found);
    if (result == DICT_DONE)
        *expiry = found.row.expiry == DICT_NEVER ? 0 : found.row.expiry;
    dict_looked(d, txn);
    return result;
}

enum dict_result
dict_count(struct dict *d, struct slice key, uint64_t now, uint32_t *count)
{
    struct dict_found found;
    MDB_txn *txn;
    enum dict_result result = dict_look(d, &txn);

    if (result != DICT_DONE)
        return result;
    result = dict_row_find_live(d, txn, key, now, &found);
    if (result == DICT_DONE && found.row.type != DICT_LIST)
        result = DICT_NO_LIST;
    if (result == DICT_DONE)
        *count = dict_list_count(found.value);
    dict_looked(d, txn);
    return result;
}
