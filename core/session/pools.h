/* pools.h -- what one worker knows of the upstreams that sessions go to.
 *
 * Health is passive: it is what sessions met with.  All of it belongs to the
 * worker, not to a configuration: a configuration and a session hold references
 * to members, so those that a new configuration keeps stay what they were, and
 * those that it drops are forgotten with the last of their sessions.
 *
 * No I/O and no clock: `now` is handed in, in seconds.  Declarations only: the
 * specs read this file. */
#pragma once

#include "base/types.h"

struct pools; /* one a worker */

/* An upstream as a member of one pool.  What is in no pool is a member of the
 * pool "", and known while a session goes there, or has failed there. */
struct member;

enum member_state {
    MEMBER_UP,
    MEMBER_DOWN,  /* failed too often in a row; passed over */
    MEMBER_TRIED, /* one login finds out whether it is back */
};

struct place {
    struct slice pool; /* "": none */
    struct slice host; /* name, IP literal or "unix:/path" */
    uint16_t port;     /* 0: the protocol's own */
};

/* When a member is down, and for how long. */
struct member_limits {
    unsigned max_failures; /* in a row */
    double retry;          /* seconds until the first trial; doubled by each
                              that fails, and never quite the same */
};

/* One session at a member, all zero while there is none. */
struct visit {
    struct member *member; /* a reference */
    double began;
    bool trial;
};

struct member_facts {
    struct slice pool;
    const char *address; /* "10.0.0.11:143", as it was written */
    enum member_state state;
    size_t sessions;
    unsigned failures; /* in a row */
    double seconds;    /* DOWN: until one login may try */
    bool retired;      /* no pool has it any more */
};

struct pools *pools_new(void);
/* Members that somebody still refers to live on until that ends.  NULL is
 * fine. */
void pools_free(struct pools *p);

/* The member that is at `place`, a new one if need be.  A reference. */
struct member *pools_take(struct pools *p, const struct place *place);
struct member *member_ref(struct member *m);
void member_unref(struct member *m); /* NULL is fine */

/* What `pools_each` tells is retired is whatever was not listed since the last
 * `pools_forget_listed`: a configuration lists its members when it becomes the
 * one that new sessions get. */
void pools_forget_listed(struct pools *p);
void member_list(struct member *m);

/* All members that are in use or have failed, in the order they became known;
 * `facts` are valid during the call. */
void pools_each(const struct pools *p, double now,
                void (*each)(void *arg, const struct member_facts *facts),
                void *arg);

/* What is known of the upstream, of all pools that it is in together: the worst
 * state, all sessions.  A place without a port stands for any port.  False if
 * nothing is known, which is as good as up. */
bool pools_find(const struct pools *p, const struct place *place, double now,
                struct member_facts *facts);

/* The facts of one member. */
void member_facts(const struct member *m, double now,
                  struct member_facts *facts);

/* Whether a login may go there: up, or down for so long that it is this login
 * that tries it. */
bool member_is_usable(const struct member *m, double now);

/* The session goes to `m`.  Of a member that is down, this is the one login
 * that tries it, if its time has come. */
void visit_begin(struct visit *v, struct member *m, double now);

/* It could not be used; true when that is why it is down from now on.  What
 * began before it last answered says nothing. */
bool visit_failed(struct visit *v, const struct member_limits *limits,
                  double now);

/* It answered; true when it was down until now. */
bool visit_succeeded(struct visit *v, double now);

/* The session has left.  A trial without outcome is left to the next login. */
void visit_end(struct visit *v); /* harmless when there is none */
