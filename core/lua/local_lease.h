/* local_lease.h -- leases of the tables that the workers of one machine share.
 */
#pragma once

#include "lua/lease.h"
#include "lua/shared.h"

/* One lease of `key` for the session, if fewer than `limit` are held.
 * DICT_DONE too if the session holds it already; DICT_PRESENT if not. */
enum dict_result local_lease_take(struct session *s, struct shared *shared,
                                  struct dict *d, struct slice key,
                                  uint64_t limit) MUST_USE;

/* Gives back what could not be while another process kept the lock. */
void local_leases_settle(struct shared *shared);

/* The process ends. */
void local_leases_forget(struct shared *shared);
