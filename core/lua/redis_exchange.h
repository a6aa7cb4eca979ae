/* redis_exchange.h -- commands to a Redis server, and the answers to all of
 * them. */
#pragma once

#include "lua/redis_pool.h"

struct redis_exchange;

/* All answers, in order; or `replies` NULL, and why.  What is in it lives
 * during the call. */
struct redis_outcome {
    struct redis_reply *const *replies;
    size_t count;
    enum failure kind;
    const char *text;
};

/* Called once, never from inside redis_exchange_start and never after
 * redis_exchange_cancel. */
typedef void (*redis_done_fn)(void *arg, const struct redis_outcome *outcome);

/* What to ask.  The buffers are taken over, and wiped. */
struct redis_question {
    struct buf commands;
    size_t count;        /* of them, and of the answers */
    struct buf fallback; /* asked instead if the one answer is NOSCRIPT */
    bool leaves_state;   /* the connection can't be used again */
};

/* NULL if too many wait for a connection already. */
struct redis_exchange *redis_exchange_start(struct redis_group *g,
                                            struct redis_question *q,
                                            double seconds, redis_done_fn done,
                                            void *arg);
void redis_exchange_cancel(struct redis_exchange *e);
