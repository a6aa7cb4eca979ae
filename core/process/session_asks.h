/* session_asks.h -- questions about sessions that workers ask each other, by
 * way of the supervisor, which only passes them on.
 *
 * A worker asks the supervisor (ASK), which asks all of them and tells the
 * first how many that are; each tells it how many sessions it found (ANSWER).
 * Who does not answer in time makes the whole of it fail. */
#pragma once

#include "lua/session_ask.h"
#include "process/session_filter.h"
#include "session/sessions.h"

struct session_asks;

struct session_question {
    unsigned slot; /* who asks */
    uint64_t id;   /* among its questions */
    bool kicks;
    struct slice reason, except; /* borrow from the message */
    struct session_filter filter;
};

void session_question_put(const struct session_question *q, struct message *m);
bool session_question_get(struct session_question *q,
                          struct message *m) MUST_USE;

struct session_answer {
    unsigned slot; /* who asked */
    uint64_t id;
    uint64_t workers; /* of the supervisor: how many it has asked; else 0 */
    uint64_t count;   /* of a worker */
};

void session_answer_put(const struct session_answer *a, struct message *m);
bool session_answer_get(struct session_answer *a, struct message *m) MUST_USE;

/* For the worker in `slot`; talks at SPAWN_FD. */
struct session_asks *session_asks_new(struct ev_loop *loop, unsigned slot);
/* It tells of these, which it may be asked from now on; NULL: of none any
 * more. */
void session_asks_use(struct session_asks *a, struct sessions *sessions);
void session_asks_free(struct session_asks *a); /* NULL is fine */

struct session_asker *session_asks_asker(struct session_asks *a);

/* What the supervisor says: ASK, ANSWER.  false if it makes no sense. */
bool session_asks_take(struct session_asks *a, struct message *m) MUST_USE;
