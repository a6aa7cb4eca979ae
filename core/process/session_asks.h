/* session_asks.h -- questions about sessions that workers ask each other, by
 * way of the supervisor, which only passes them on.
 *
 * A worker asks the supervisor (ASK), which asks all of them and tells the
 * first how many that are; each tells it how many sessions it found (ANSWER).
 * Who does not answer in time makes the whole of it fail. */
#pragma once

#include "lua/session_ask.h"
#include "process/message.h"
#include "session/sessions.h"

struct session_asks;

/* For the worker in `slot`; talks at SPAWN_FD. */
struct session_asks *session_asks_new(struct ev_loop *loop, unsigned slot);
/* It tells of these, which it may be asked from now on; NULL: of none any
 * more. */
void session_asks_use(struct session_asks *a, struct sessions *sessions);
void session_asks_free(struct session_asks *a); /* NULL is fine */

struct session_asker *session_asks_asker(struct session_asks *a);

/* What the supervisor says: ASK, ANSWER.  false if it makes no sense. */
bool session_asks_take(struct session_asks *a, struct message *m) MUST_USE;
