/* dict.h -- a table of small values that all workers share, in memory.
 *
 * It is an LMDB environment in a memory file, so what a process that was
 * killed had half done is not there.  Instead of LMDB's locks it has one of
 * its own, behind the map: readers take it too, so no reader can go stale, a
 * process that died with it leaves nothing behind, and one that was stopped
 * with it is waited for 0.5 s: somebody has to end it, who sees by dict_hold_of
 * which it is.  While others get their turns a call may wait up to 2 s.  No
 * call keeps it.
 *
 * It never fills: from three quarters on, each change first removes what is
 * over, then what is over soonest, then what was written longest ago.  Leases
 * are not removed; they are given back.  Until there is need, what is over is
 * kept for a while, for dict_get of an earlier time.
 *
 * Times are milliseconds of whatever clock the caller has. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#include <sys/types.h>

#define DICT_SIZE_MIN  1048576
#define DICT_KEY_MAX   8192
#define DICT_NAME_MAX  511   /* LMDB's longest key */
#define DICT_VALUE_MAX 65536 /* and no more than a 64th of the whole */

enum dict_type { DICT_STRING, DICT_NUMBER, DICT_BOOLEAN, DICT_LIST };

struct dict_value {
    enum dict_type type;
    struct slice text; /* of a string; of what is got until the next call */
    double number;     /* of a boolean 0 or 1 */
    uint32_t flags;    /* whatever who writes it means by them */
    uint64_t expiry;   /* of what is got; 0: never */
};

enum dict_end { DICT_FRONT, DICT_BACK };

enum dict_result {
    DICT_DONE,
    DICT_ABSENT,    /* there is none of that key */
    DICT_PRESENT,   /* dict_add: there is one; dict_lease: all are held */
    DICT_NO_NUMBER, /* dict_add_to: it is something else */
    DICT_NO_VALUE,  /* it is a list */
    DICT_NO_LIST,   /* it is a value */
    DICT_TOO_LONG,  /* the value */
    DICT_FULL,      /* of leases, which can't be removed, or `keeps` */
    DICT_BUSY,      /* another process keeps the lock */
    DICT_BROKEN,    /* LMDB failed; logged */
};

struct dict_when {
    uint64_t now;
    uint64_t expiry; /* of what is written; 0: never */
    bool keeps;      /* room is only made by removing what is over */
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

/* Whether the last change removed what was not over, to make room. */
bool dict_has_forced(const struct dict *d);

/* How large it is, and how much of it is left until something that is not over
 * is removed; bytes. */
size_t dict_size(const struct dict *d);
enum dict_result dict_free_space(struct dict *d, size_t *bytes) MUST_USE;

enum dict_result dict_get(struct dict *d, struct slice key, uint64_t now,
                          struct dict_value *value) MUST_USE;
enum dict_result dict_set(struct dict *d, struct slice key,
                          const struct dict_value *value,
                          struct dict_when when) MUST_USE;
/* Only if there is none. */
enum dict_result dict_add(struct dict *d, struct slice key,
                          const struct dict_value *value,
                          struct dict_when when) MUST_USE;
/* Only if there is one. */
enum dict_result dict_replace(struct dict *d, struct slice key,
                              const struct dict_value *value,
                              struct dict_when when) MUST_USE;
/* Adds `by`; where there is none, to `*number`, and it is over at
 * `when.expiry`.  The sum is in `*number`. */
enum dict_result dict_add_to(struct dict *d, struct slice key, double by,
                             struct dict_when when, double *number) MUST_USE;
/* Only if there is one. */
enum dict_result dict_add_to_present(struct dict *d, struct slice key,
                                     double by, uint64_t now,
                                     double *sum) MUST_USE;
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
/* What is there, a value or a list, is over at `when.expiry`. */
enum dict_result dict_expire(struct dict *d, struct slice key,
                             struct dict_when when) MUST_USE;
/* When it will be over; 0: never. */
enum dict_result dict_expiry(struct dict *d, struct slice key, uint64_t now,
                             uint64_t *expiry) MUST_USE;

/* Lists of strings and numbers; all of one is no longer than a value.  One that
 * is empty is none. */
struct dict_list_end {
    struct slice key;
    enum dict_end end;
};
enum dict_result dict_push(struct dict *d, struct dict_list_end at,
                           const struct dict_value *value, uint64_t now,
                           uint32_t *count) MUST_USE;
enum dict_result dict_pop(struct dict *d, struct dict_list_end at, uint64_t now,
                          struct dict_value *value) MUST_USE;
/* How many it has; DICT_ABSENT: none. */
enum dict_result dict_count(struct dict *d, struct slice key, uint64_t now,
                            uint32_t *count) MUST_USE;

/* Removes all values and lists; leases stay. */
enum dict_result dict_clear(struct dict *d) MUST_USE;
/* Removes up to `max` of those that are over; how many. */
enum dict_result dict_sweep(struct dict *d, uint64_t now, size_t max,
                            size_t *removed) MUST_USE;
/* Where a walk along all keys has got to; zero at first.  What is written
 * meanwhile may be met or not. */
struct dict_walk {
    size_t len;
    char name[DICT_NAME_MAX];
};
/* Looks at the next `rows`, and appends the keys of those that are not over,
 * each behind its length (a uint32_t), to `keys`, which has room for as many.
 * DICT_ABSENT: there were none. */
enum dict_result dict_walk(struct dict *d, uint64_t now, size_t rows,
                           struct dict_walk *walk, struct buf *keys) MUST_USE;

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
