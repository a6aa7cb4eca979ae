/* sessions.h -- all sessions of one worker, and what they share. */
#pragma once

#include "session/counts.h"
#include "session/session.h"

struct learnt {
    struct learnt *next;
    char *listener; /* its name */
    struct capabilities capabilities;
};

struct sessions {
    struct ev_loop *loop;
    struct dns *dns;
    struct policy *policy; /* of the newest generation */
    struct config *config; /* a reference: the newest */
    struct splice_pool *pool;
    struct pools *pools;       /* what is known of upstreams */
    struct counters *counters; /* may be set; NULL: nothing is counted */
    struct list live, graveyard;
    struct list walks;      /* struct sessions_walk */
    struct list runnable;   /* SPLICE_MORE: another turn when idle */
    struct ev_prepare bury; /* empties the graveyard */
    struct ev_idle turns;   /* serves `runnable` */
    struct ev_timer sweep;  /* looks for clients gone while not read */
    size_t count;
    size_t count_max;
    struct protocol_counts counts[PROTOCOLS_MAX];
    struct counter *ended[END_COUNT]; /* NULL: none did so far */
    struct learnt *learnt;            /* one a listener */
    bool draining;                    /* no new logins; goodbye at a boundary */
    bool rehearsing;            /* logins end where an upstream is dialled */
    void (*emptied)(void *arg); /* draining, and the last one is buried */
    void *emptied_arg;
};

/* `policy` outlives the result, or until the next of sessions_renew; the others
 * outlive it anyway. */
struct sessions *sessions_new(struct ev_loop *loop, struct dns *dns,
                              struct pools *pools, struct policy *policy,
                              struct config *config);

/* From now on `policy` decides and new sessions have `config`.  Relayed ones
 * get it too; clients before their login when that begins. */
void sessions_renew(struct sessions *all, struct policy *policy,
                    struct config *config);

/* No session asks `policy`, which is about to go, ever again; what was pinned
 * to it goes on with the newest. */
void sessions_forget(struct sessions *all, const struct policy *policy);
void sessions_free(struct sessions *all);

/* A new session of a listener of `all->config` on the accepted `fd` (now the session's); it runs at once. */
void sessions_accept(struct sessions *all,
                     const struct listener_config *listener, int fd,
                     const struct addr *client);

/* Clients are told goodbye as soon as the protocol allows; spliced sessions go
 * on until they end by themselves or `sessions_end_all`. */
void sessions_drain(struct sessions *all, void (*emptied)(void *arg),
                    void *arg);
void sessions_end_all(struct sessions *all);

/* What the upstreams of the listener called `name` were last seen to offer;
 * kept by name, so that it outlives a configuration. */
struct capabilities *sessions_learnt(struct sessions *all, struct slice name);

/* A walk over all sessions that may pause while they come and go: it leaves out
 * those that end before it reaches them and takes those that come meanwhile. */
struct sessions_walk {
    struct list link; /* in sessions->walks */
    struct sessions *all;
    struct list *next;
};

void sessions_walk_begin(struct sessions *all, struct sessions_walk *w);
struct session *sessions_walk_next(struct sessions_walk *w); /* or NULL */
void sessions_walk_end(struct sessions_walk *w);

/* For session.c: to the graveyard, freed when the loop turns. */
void sessions_bury(struct session *s);
/* For phase_splice.c: another turn once other events were served. */
void sessions_again(struct session *s);
/* For side.c: the client of `s` is not being read; watch for its departure. */
void sessions_sweep(struct sessions *all);
