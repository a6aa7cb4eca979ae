/* control_words.h -- what the control process, the supervisor and the workers
 * say to each other, as values.
 *
 * Control asks, the others answer.  Neither trusts the other: whoever gets a
 * message checks every field of it, and takes a wrong one for an enemy's. */
#pragma once

#include "base/log.h"
#include "process/log_target.h"
#include "process/privileges.h"
#include "process/session_filter.h"

/* --- supervisor to control --- */

/* CONTROL_SETUP: what it is told before it starts. */
struct control_setup {
    struct identity identity;
    enum log_level log_level;
    enum log_format log_format;
    unsigned slot_count;
    int socket;            /* descriptor */
    struct log_target log; /* the first */
};

/* The descriptors are borrowed. */
void control_setup_put(const struct control_setup *setup, struct message *m);
/* The descriptors become the setup's. */
bool control_setup_get(struct control_setup *setup, struct message *m) MUST_USE;

/* REPORT: a piece of what an order led to. */
struct report {
    uint64_t order;
    bool last, ok;
    struct slice text; /* "" only in the last */
};

void report_put(const struct report *r, struct message *m);
bool report_get(struct report *r, struct message *m) MUST_USE;

/* --- control to supervisor --- */

enum order_kind {
    ORDER_STATUS,   /* JSON */
    ORDER_RELOAD,   /* a line for a person, or all errors */
    ORDER_ROLLBACK, /* to generation `a`, 0: the one before; the same */
    ORDER_DIFF,     /* of generations `a` and `b`; as diff -u does */
    ORDER_LINK,     /* a pair with the worker of slot `a`; no reply */
    ORDER_COUNT,
};

/* Whose replies are not whole yet: one more is turned away, unless it is about
 * the status. */
#define ORDERS_MAX 64

struct order {
    uint64_t id;
    enum order_kind kind;
    unsigned a, b;
};

void order_put(const struct order *o, struct message *m);
bool order_get(struct order *o, struct message *m) MUST_USE;

/* --- what memoized functions are to forget --- */

/* PURGE, and in a QUESTION. */
struct purge {
    struct slice name, key; /* the key's ptr NULL: all of it */
};

void purge_put(const struct purge *p, struct message *m);
/* Borrows from the message. */
bool purge_get(struct purge *p, struct message *m) MUST_USE;

/* --- workers to each other, about sessions: see session_asks.h --- */

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

/* --- control to worker --- */

enum question_kind {
    QUESTION_STATE,    /* answered by one STATE */
    QUESTION_SESSIONS, /* by SESSIONS, of those that match */
    QUESTION_KICK,     /* ends those that match; DONE says how many */
    QUESTION_COUNTERS, /* by COUNTERS */
    QUESTION_EVENTS,   /* EVENT from now on, until FORGET; the first is empty */
    QUESTION_RECORD,   /* the same, and the events have what I/O answered */
    QUESTION_PURGE,    /* forgets, see memos_purge */
    QUESTION_COUNT,
};

#define QUESTIONS_MAX 256 /* of a worker, not forgotten or done yet */
#define REASON_MAX    200

/* QUESTION.  DONE is the last answer to each. */
struct question {
    uint64_t id;
    enum question_kind kind;
    uint64_t credit; /* messages of answer that may come; GRANT gives more */
    struct session_filter filter;
    struct slice reason; /* of a kick */
    struct purge purge;
};

#define CREDIT_MAX 1024

void question_put(const struct question *a, struct message *m);
/* The reason and the purge borrow from the message. */
bool question_get(struct question *a, struct message *m) MUST_USE;

/* --- worker to control --- */

/* SESSIONS is the question's id and as many of these as fit. */
struct session_row {
    struct slice id, client, listener, protocol, user, upstream, pool, phase,
        tls;
    double seconds; /* since it was accepted */
    uint64_t in, out, generation;
};

/* false if it does not fit any more; the message is as before. */
bool session_row_put(const struct session_row *row, struct message *m) MUST_USE;
void session_row_get(struct session_row *row, struct message *m);

/* COUNTERS is the question's id and as many of these as fit. */
struct counter_row {
    struct slice name; /* name{label="value"} */
    double value;
    bool is_gauge;     /* may go down */
    bool is_of_policy; /* a policy chose the name */
};

bool counter_row_put(const struct counter_row *row, struct message *m) MUST_USE;
void counter_row_get(struct counter_row *row, struct message *m);

/* STATE: the question's id and this. */
struct worker_state {
    uint64_t generation, sessions;
};

void worker_state_put(const struct worker_state *s, struct message *m);
void worker_state_get(struct worker_state *s, struct message *m);

/* EVENT: the question's id and this. */
struct event {
    uint64_t lost;     /* events before it that there was no room for */
    struct slice text; /* one line; may be empty when some were lost */
};

void event_put(const struct event *e, struct message *m);
void event_get(struct event *e, struct message *m);
