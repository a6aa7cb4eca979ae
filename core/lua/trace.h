/* trace.h -- who looks on: `moongate try`, `moongate trace`, recordings.
 *
 * Without an observer all of it costs the test of a pointer.  With one, each
 * event of a session that it follows becomes one line of JSON:
 *
 *     phase   the session has entered it
 *     said    one line of the dialogue before the session is relayed
 *     hook    a call of a hook: its arguments, its decision, its waits
 *     end     why the session is over
 *
 * No line holds a password, a token or a SASL response.  What stands for them
 * is "secret:" and a keyed hash, so that equal ones are seen to be equal. */
#pragma once

#include "base/list.h"
#include "session/observer.h"

struct call;
struct loaded_policy;
struct session;
struct verdict;

struct trace_observer {
    struct list link;
    bool records; /* is told also what I/O has answered */
    bool (*follows)(struct trace_observer *o, const struct session *s);
    /* One object, without a newline. */
    void (*see)(struct trace_observer *o, const struct session *s,
                struct slice line);
};

void trace_add(struct trace_observer *o);
void trace_remove(struct trace_observer *o); /* harmless when not added */

/* The key of the hashes is made of `secret`, which the workers share; else each
 * process has its own. */
void trace_set_secret(struct slice secret);

static inline bool
trace_is_on(void)
{
    return session_observer != NULL;
}

/* --- hook calls, for hook_run.c --- */

/* One function begins; `c` is traced from here to one of the ends below, each
 * of which is harmless when it is not. */
void trace_hook_begin(struct call *c, const struct session *s,
                      const struct loaded_policy *policy, int hook);

/* The decision was made in this line. */
void trace_hook_where(struct call *c, int line);

/* `v` NULL: no opinion. */
void trace_hook_decided(struct call *c, const struct session *s,
                        const struct verdict *v);
void trace_hook_failed(struct call *c, const struct session *s,
                       const char *why);
void trace_hook_cancelled(struct call *c, const struct session *s);

/* --- its children, for child.c: what they wait for is told with the rest --- */

void trace_child_begin(struct call *child, struct call *parent);
void trace_child_end(struct call *child);

/* --- what it waits for, for call.c --- */

void trace_wait_begin(struct call *c);
void trace_wait_end(struct call *c, int results); /* on its thread's top */
