/* lease.h -- what a session holds of shared dicts until it ends. */
#pragma once

#include "lua/shared.h"
#include "session/session.h"

/* One lease of `key` for the session, if fewer than `limit` are held.
 * DICT_DONE too if the session holds it already; DICT_PRESENT if not. */
enum dict_result lease_take(struct session *s, struct shared *shared,
                            struct dict *d, struct slice key,
                            uint64_t limit) MUST_USE;

/* DICT_ABSENT: the session holds none. */
enum dict_result lease_give_back(struct session *s, struct dict *d,
                                 struct slice key) MUST_USE;

/* The session has ended. */
void lease_end_all(struct session *s);

/* Gives back what could not be while another process kept the lock. */
void lease_settle(struct shared *shared);

/* The process ends. */
void lease_forget(struct shared *shared);
