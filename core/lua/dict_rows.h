/* dict_rows.h -- what dict_rows.c has for dict_edits.c and dict_whole.c: one row
 * in the map, and its place in the order in which rows go.
 *
 * All within a transaction of the caller's; results as in dict_store.h. */
#pragma once

#include "lua/dict_store.h"

#define DICT_NEVER UINT64_MAX

/* Then follow the key, if its name is a digest, and the value's bytes. */
struct dict_row {
    uint64_t expiry; /* DICT_NEVER */
    uint64_t turn;   /* when it was written, counted */
    uint32_t flags;
    uint16_t type;
    uint16_t key_len; /* 0: the name is the key */
};

/* Big endian, so that LMDB's order is theirs. */
struct dict_place {
    uint64_t expiry, turn;
};

/* A row as it is in the map: until something is written. */
struct dict_found {
    struct dict_row row;
    struct slice value;
};

struct dict_place dict_place_of(const struct dict_row *row);

/* False for nonsense, which a worker gone mad may have left: it is as good as
 * absent.  `key` is compared only if the row's name is a digest. */
bool dict_row_read(MDB_val data, struct slice key, bool digested,
                   struct dict_found *found);

bool dict_row_is_over(const struct dict_row *row, uint64_t now);

/* DICT_ABSENT: there is none; `live`: or it is over. */
enum dict_result dict_row_find(struct dict *d, MDB_txn *txn, struct slice key,
                               struct dict_found *found);
enum dict_result dict_row_find_live(struct dict *d, MDB_txn *txn,
                                    struct slice key, uint64_t now,
                                    struct dict_found *found);

enum dict_result dict_row_take_out_of_order(struct dict *d, MDB_txn *txn,
                                            const struct dict_row *row);
