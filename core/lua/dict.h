/* dict.h -- a table of small values that all workers share, in memory.
 *
 * It is an LMDB environment in a memory file, so what a process that was
 * killed had half done is not there.  Instead of LMDB's locks it has one of
 * its own, behind the map: readers take it too, so no reader can go stale, a
 * process that died with it leaves nothing behind, and one that was stopped
 * with it is not waited for: somebody has to end it, who sees by dict_hold_of
 * which it is.  No call keeps it.
 *
 * It never fills: from three quarters on, each change first removes what is
 * over, then what is over soonest, then what was written longest ago.  Leases
 * are not removed; they are given back.
 *
 * Times are milliseconds of whatever clock the caller has. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <sys/types.h>

#define DICT_SIZE_MIN  1048576
#define DICT_KEY_MAX   8192
#define DICT_VALUE_MAX 65536 /* and no more than a 64th of the whole */

enum dict_type { DICT_STRING, DICT_NUMBER, DICT_BOOLEAN };

struct dict_value {
    enum dict_type type;
    struct slice text; /* of a string; of dict_get until the next call */
    double number;     /* of a boolean 0 or 1 */
};

enum dict_result {
    DICT_DONE,
    DICT_ABSENT,    /* there is none of that key */
    DICT_PRESENT,   /* dict_add: there is one; dict_lease: all are held */
    DICT_NO_NUMBER, /* dict_add_to: it is something else */
    DICT_TOO_LONG,  /* the value */
    DICT_FULL,      /* of leases, which can't be removed */
    DICT_BUSY,      /* another process keeps the lock */
    DICT_BROKEN,    /* LMDB failed; logged */
};

struct dict_when {
    uint64_t now;
    uint64_t expiry; /* of what is written; 0: never */
};

/* Who holds leases: one process in the place of a worker. */
struct dict_holder {
    uint32_t worker;
    uint32_t process; /* later ones in the same place have greater numbers */
};

struct dict;
struct dict_page;

/* Makes an empty one of `size` bytes, which are taken at once; its descriptor,
 * or -1. */
int dict_create(size_t size, struct error *err) MUST_USE;

/* Opens it in this process; reads /proc/self/fd.  The descriptor is closed. */
struct dict *dict_open(int fd, struct error *err) MUST_USE;
void dict_close(struct dict *d); /* NULL is fine */

/* The lock alone, for a look from outside; the descriptor stays the caller's.
 * NULL and `err` if it can't be mapped. */
const struct dict_page *dict_watch(int fd, struct error *err) MUST_USE;
void dict_unwatch(const struct dict_page *page); /* NULL is fine */

/* The same in many looks: it was not let go in between. */
struct dict_hold {
    pid_t process;   /* 0: nobody has it */
    uint64_t number; /* goes up just after it is taken */
};

struct dict_hold dict_hold_of(const struct dict_page *page);

/* How long a value may be. */
size_t dict_value_max(const struct dict *d);

enum dict_result dict_get(struct dict *d, struct slice key, uint64_t now,
                          struct dict_value *value) MUST_USE;
enum dict_result dict_set(struct dict *d, struct slice key,
                          const struct dict_value *value,
                          struct dict_when when) MUST_USE;
/* Only if there is none. */
enum dict_result dict_add(struct dict *d, struct slice key,
                          const struct dict_value *value,
                          struct dict_when when) MUST_USE;
/* Adds `by`; where there is none, to `*number`, and it is over at
 * `when.expiry`.  The sum is in `*number`. */
enum dict_result dict_add_to(struct dict *d, struct slice key, double by,
                             struct dict_when when, double *number) MUST_USE;
/* Takes a token from a bucket that holds `capacity` and gets one more each
 * `interval`.  DICT_PRESENT: there is none for another `wait`.  Milliseconds,
 * with fractions. */
struct dict_bucket {
    double interval, capacity;
    double wait; /* is told */
};
enum dict_result dict_take(struct dict *d, struct slice key, uint64_t now,
                           struct dict_bucket *bucket) MUST_USE;
enum dict_result dict_delete(struct dict *d, struct slice key,
                             uint64_t now) MUST_USE;
/* When it will be over; 0: never. */
enum dict_result dict_expiry(struct dict *d, struct slice key, uint64_t now,
                             uint64_t *expiry) MUST_USE;

/* One more lease of `key`, unless `limit` are held by all together. */
enum dict_result dict_lease(struct dict *d, struct slice key, uint64_t limit,
                            struct dict_holder holder) MUST_USE;
enum dict_result dict_give_back(struct dict *d, struct slice key,
                                struct dict_holder holder) MUST_USE;
/* How many are held. */
enum dict_result dict_leased(struct dict *d, struct slice key,
                             uint64_t *held) MUST_USE;
/* Gives back what processes before `next` held in the place of its worker. */
enum dict_result dict_reap(struct dict *d, struct dict_holder next) MUST_USE;
