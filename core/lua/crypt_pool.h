/* crypt_pool.h -- a few threads that hash passwords while the loop goes on.
 *
 * One pool a process, one thread a core, each at a lower priority than the
 * loop.  At most CRYPT_WAITING_MAX jobs wait; more is an overload that the
 * caller hears of at once.  Passwords are copied for the thread and wiped as
 * soon as it is done with them. */
#pragma once

#include "lua/crypt_hash.h"

#include <ev.h>

#define CRYPT_WAITING_MAX 64

struct crypt_job;

/* On the loop, once, unless the job was cancelled.  `made` is a fresh hash
 * (crypt_pool_make) and lives during the call. */
typedef void (*crypt_done_fn)(void *arg, enum crypt_result result,
                              const char *made);

/* NULL: too many jobs are waiting.  All calls must come from one loop; from
 * another once the first has no job left. */
struct crypt_job *crypt_pool_verify(struct ev_loop *loop,
                                    struct secret password, struct slice hash,
                                    crypt_done_fn done, void *arg);
struct crypt_job *crypt_pool_make(struct ev_loop *loop, struct secret password,
                                  const struct crypt_cost *cost,
                                  crypt_done_fn done, void *arg);

/* Whether a job of `loop` is under way. */
bool crypt_pool_is_busy(const struct ev_loop *loop);

/* `loop`, which has no job left, is to be destroyed. */
void crypt_pool_leave(struct ev_loop *loop);

/* `done` will not be called.  A thread that is at it finishes for nobody. */
void crypt_pool_cancel(struct crypt_job *job);
