/* dict_store.h -- what dict.c has for the files beside it: the lock,
 * transactions and room in them. */
#pragma once

#include "lua/dict.h"

#include <lmdb.h>

struct dict {
    MDB_env *env;
    MDB_dbi rows;   /* name of a key -> struct dict_row, whole key, value */
    MDB_dbi order;  /* expiry, turn -> name: what is removed first */
    MDB_dbi leases; /* see dict_leases.c */
    struct dict_page *page;
    size_t page_size, size;
    size_t crowded; /* pages in use from which something is removed */
    size_t batch;   /* entries removed at a time */
    size_t value_max;
    double patient_from; /* when the lock is waited for as long again */
    bool forced;         /* what was not over made room */
    char *value;         /* of dict_get, and of changes; value_max bytes */
};

/* How a key is called in LMDB: as it is, or by its digest. */
struct dict_name {
    char bytes[DICT_NAME_MAX];
    size_t len;
    bool digested;
};

void dict_name_of(struct slice key, struct dict_name *name);
MDB_val dict_name_val(struct dict_name *name);

/* Begins and ends a look that changes nothing. */
enum dict_result dict_look(struct dict *d, MDB_txn **txn) MUST_USE;
void dict_looked(struct dict *d, MDB_txn *txn);

struct dict_change {
    /* May be called more than once; DICT_DONE: keep what it did. */
    enum dict_result (*apply)(struct dict *d, MDB_txn *txn, void *arg);
    void *arg;
    bool grows; /* needs room */
    bool keeps; /* which is only made by removing what is over at `now` */
    uint64_t now;
};

/* One transaction. */
enum dict_result dict_change(struct dict *d,
                             const struct dict_change *change) MUST_USE;

/* The number of the next row that is written. */
uint64_t dict_turn(struct dict *d);

/* The meaning of LMDB's result; logs what should not be. */
enum dict_result dict_result_of(int rc);

/* In dict_rows.c: removes up to `count` rows, the first in order, if they are
 * over at `now` (UINT64_MAX: any).  How many. */
size_t dict_remove_first(struct dict *d, MDB_txn *txn, size_t count,
                         uint64_t now);

/* The pages from which something is removed that are not in use yet. */
size_t dict_pages_left(const struct dict *d, MDB_txn *txn);
