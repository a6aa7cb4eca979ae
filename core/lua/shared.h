/* shared.h -- the dicts of `moongate.shared` in one process.
 *
 * A worker is handed those that all workers share.  Anywhere else, where
 * configurations and policies are tried, they are made when they are first
 * used, and are that process's own. */
#pragma once

#include "base/types.h"
#include "lua/dict.h"

#define SHARED_MAX      32
#define SHARED_NAME_MAX 63 /* bytes */

struct lease;
struct shared;

struct shared *shared_new(void);
void shared_free(struct shared *s); /* NULL is fine */

/* One of dict_create, opened; the descriptor becomes the dict's. */
bool shared_add(struct shared *s, struct slice name, int fd,
                struct error *err) MUST_USE;

/* The dict called `name`; one that is made has `size` bytes.  NULL and `err`
 * if there is no memory for it. */
struct dict *shared_find(struct shared *s, struct slice name, size_t size,
                         struct error *err);

/* Who this process is, once all dicts have been added: none is made from then
 * on.  What its predecessors held is given back. */
void shared_hold_as(struct shared *s, struct dict_holder holder);
struct dict_holder shared_holder(const struct shared *s);

/* Where leases hang that could not be given back yet. */
struct lease **shared_owed(struct shared *s);

/* The processes before `next` in the place of its worker have died. */
void shared_reap(struct shared *s, struct dict_holder next);
