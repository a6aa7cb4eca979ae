/* counts.h -- what is counted of sessions, for metrics.  A counter is there
 * from when it first counts; where sessions->counters is NULL none is. */
#pragma once

#include "base/counters.h"
#include "session/session.h"

enum login_outcome {
    LOGIN_ACCEPTED,
    LOGIN_REFUSED,
    LOGIN_FAILED,
    LOGIN_OUTCOMES
};

/* Of the sessions of one protocol. */
struct protocol_counts {
    size_t in_phase[PHASE_COUNT]; /* of those that live */
    struct counter *begun, *logins[LOGIN_OUTCOMES];
};

/* `s` was accepted. */
void sessions_count_begin(const struct session *s);
/* For phase_close.c: how `s` ends. */
void sessions_count_end(const struct session *s);
/* How a login went that was asked about. */
void sessions_count_login(const struct session *s, enum login_outcome outcome);
/* A handshake with `peer`, "client" or "upstream": "full", "resumed", "failed". */
void sessions_count_tls(const struct session *s, const char *peer,
                        const char *outcome);
