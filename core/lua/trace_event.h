/* trace_event.h -- the parts of the lines that trace.h tells of. */
#pragma once

#include "base/json_writer.h"
#include "lua/target.h"
#include "session/session.h"

#define TRACE_LINE_MAX ((size_t)15 << 10) /* it goes as one message */

/* Opens the object: time, session, listener, protocol, client, user, event. */
void trace_event_begin(struct json_writer *w, struct buf *out,
                       const struct session *s, const char *event);

enum audience { AUDIENCE_ALL, AUDIENCE_LOOKS_ON, AUDIENCE_RECORDS };

/* Closes it and shows it to those of the audience who follow the session. */
void trace_event_end(struct json_writer *w, const struct session *s,
                     enum audience audience);

/* Whether anybody of the audience follows it. */
bool trace_follows(const struct session *s, enum audience audience);

/* A text that may have been made of a password: then it is left out. */
void trace_put_safe(struct json_writer *w, const char *name,
                    const struct session *s, struct slice text);

/* "secret:" and the keyed hash; nothing if `secret` is empty. */
void trace_put_secret(struct json_writer *w, const char *name,
                      struct slice secret);

/* What the hook was called with. */
void trace_put_facts(struct json_writer *w, const struct session *s, int hook);
void trace_put_verdict(struct json_writer *w, const struct session *s,
                       const struct verdict *v);

/* Monotonic milliseconds, and how many have passed since. */
double trace_clock(void);
double trace_since(double began);
