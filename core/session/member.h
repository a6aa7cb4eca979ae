/* member.h -- a member's state, for pools.c, member.c and pool.c alone. */
#pragma once

#include "base/list.h"
#include "session/pools.h"

struct member {
    struct list link;    /* in pools->all */
    struct member *twin; /* next in its bucket */
    struct pools *home;
    char *pool, *host, *address;
    uint16_t port;
    unsigned references;
    size_t sessions;
    bool listed;
    enum member_state state;
    unsigned failures;   /* in a row */
    unsigned downs;      /* in a row: how often it went down, or stayed so */
    double down_until;   /* DOWN: one login may try then */
    double last_failure; /* 0: never */
    double last_success;
    uint64_t chosen; /* when, in choices of the worker; 0: never */
    long credit;     /* round robin: of the next turn */
};

/* The next number of a choice. */
uint64_t pools_tick(struct pools *p);

/* Nobody refers to it: forgotten, unless what is known of it is of use. */
void pools_drop(struct member *m);
