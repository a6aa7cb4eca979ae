/* memo.h -- results that `moongate.memoize` remembers, in C memory.
 *
 * What a function was called with is not kept: an entry has two keyed digests,
 * of all arguments and of the first, so that what belongs to one user can be
 * forgotten without knowing the rest.  A store never holds more than its
 * capacity; what was used longest ago goes first. */
#pragma once

#include "base/types.h"

#include <stdint.h>

#define MEMO_NAME_MAX 63 /* bytes */
#define MEMO_TEXT_MAX \
    ((size_t)64 << 10) /* of a result: longer ones are not kept */
#define MEMO_ROOM      ((size_t)64 << 20) /* of all results of a store */
#define MEMOS_MAX      100                /* of a process */
#define MEMO_PURGE_MAX 1024 /* bytes of a key that is told others */

struct lasting;
struct memo;

/* Of the arguments, as 64 hexadecimal digits each. */
struct memo_key {
    char all[64], first[64];
};

/* One called `name`.  `persists`: the one of that name that there is, with all
 * that is in it, and it stays when it is closed.  NULL: too many. */
struct memo *memo_open(struct lasting *l, struct slice name, size_t capacity,
                       bool persists);
void memo_close(struct memo *m);

/* HMAC-SHA-256 with a key of this process. */
void memo_digest(struct slice bytes, char hex[64]);

/* The result, which lives until the next call here; ptr NULL: none. */
struct slice memo_get(struct memo *m, const struct memo_key *key, double now);
void memo_put(struct memo *m, const struct memo_key *key, struct slice text,
              double expires);

/* Changes with each purge: an answer that was begun before one is old. */
unsigned long memo_purges(const struct memo *m);

/* Forgets one call; all whose first argument has the digest; all. */
void memo_purge_call(struct memo *m, const struct memo_key *key);
void memo_purge_first(struct memo *m, const char first[64]);
void memo_purge_all(struct memo *m);

/* The same for all of the name: what has the first argument `key`, a text; or
 * everything, if its ptr is NULL. */
void memos_purge(struct lasting *l, struct slice name, struct slice key);

/* The digest that `key` has as a first argument. */
void memo_digest_text(struct slice key, char first[64]);

void memos_free(struct lasting *l);
