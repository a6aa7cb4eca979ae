/* session_ask.h -- a question of `moongate.sessions` to all workers. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#include <ev.h>
#include <stdint.h>

/* As session_filter_set names them. */
#define SESSION_ASK_FILTERS \
    "user", "session", "ip", "protocol", "listener", "phase"
#define SESSION_ASK_FILTER_COUNT 6

struct session_ask {
    bool kicks; /* ends them; else they are only counted */
    struct slice filters[SESSION_ASK_FILTER_COUNT]; /* len 0: not given */
    struct slice reason;                            /* of a kick */
    struct slice except; /* id of a session that is not meant; or empty */
    /* Once; `why` is NULL, or what went wrong. */
    void (*done)(struct session_ask *a, uint64_t count, const char *why);

    /* Of who carries it out. */
    struct session_ask *next;
    uint64_t id, count, waits;
    bool told; /* how many workers were asked */
    ev_timer limit;
};

/* Who does, in a worker. */
struct session_asker {
    /* false and `err`: it makes no sense.  The texts are borrowed for this
     * call only. */
    bool (*begin)(struct session_asker *by, struct session_ask *a,
                  struct error *err);
    /* Nobody waits any more: `done` is not called. */
    void (*cancel)(struct session_asker *by, struct session_ask *a);
};
