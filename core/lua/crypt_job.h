/* crypt_job.h -- passwords that are hashed in a thread, see threads.h.
 *
 * They are copied for the thread and wiped as soon as it is done with them. */
#pragma once

#include "lua/crypt_hash.h"
#include "lua/threads.h"

struct crypt_job;

/* On the loop, once, unless the job was cancelled.  `made` is a fresh hash
 * (crypt_job_make) and lives during the call. */
typedef void (*crypt_done_fn)(void *arg, enum crypt_result result,
                              const char *made);

/* NULL: too many jobs are waiting. */
struct crypt_job *crypt_job_verify(struct ev_loop *loop, struct secret password,
                                   struct slice hash, crypt_done_fn done,
                                   void *arg);
struct crypt_job *crypt_job_make(struct ev_loop *loop, struct secret password,
                                 const struct crypt_cost *cost,
                                 crypt_done_fn done, void *arg);

/* `done` will not be called.  A thread that is at it finishes for nobody. */
void crypt_job_cancel(struct crypt_job *job);
