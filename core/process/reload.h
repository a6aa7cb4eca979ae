/* reload.h -- the supervisor takes the gateway from one generation to the
 * next, in all workers or in none.
 *
 * A helper evaluates (and tries) the configuration; what changes in sockets is
 * opened; every worker prepares the generation; when all are ready they are
 * told to serve it.  Whatever fails before that leaves everything as it was.
 * A new generation is on probation: one whose policies fail for mistakes of
 * their own is replaced by the one before it. */
#pragma once

#include "process/differ.h"
#include "process/evaluation_job.h"
#include "process/file_watch.h"
#include "process/slot.h"

#define RELOAD_KEPT_MAX 5 /* generations of before */

enum reload_kind {
    RELOAD_FILES,    /* from what is on disk now */
    RELOAD_ROLLBACK, /* to a kept generation */
};

/* A generation as it is told about. */
struct served {
    unsigned number;
    unsigned origin;    /* a rollback: the number that it had before; else 0 */
    ev_tstamp since;    /* wall clock: when it began to serve */
    char hash[65];      /* of its bundle */
    const char *reason; /* "start", "reload", "rollback", "probation" */
};

struct kept {
    struct served served;
    struct evaluation evaluation;
};

struct reload_order;

struct reload {
    struct slot_host *host;
    const struct config_order *files;
    struct evaluation *live;
    struct sockets *sockets; /* live ones */
    struct slot *slots;
    struct served served; /* the live generation */
    char *refusal; /* why the last order was refused, if none was carried out
                      since; or NULL */
    ev_tstamp refused;                 /* wall clock */
    unsigned long commits, refusals;   /* of all orders so far */
    struct kept kept[RELOAD_KEPT_MAX]; /* the youngest first */
    size_t kept_count;
    unsigned last_number;

    struct reload_order *order; /* carried out now; or NULL */
    struct list orders;         /* that wait */
    struct evaluation_job evaluating;
    struct evaluation next; /* that is being prepared */
    struct sockets next_sockets;
    struct log_targets next_log; /* none: it stays */
    struct served next_served;
    bool preparing;
    bool settling;  /* not all workers have said that they serve it */
    ev_timer limit; /* of both */

    ev_tstamp probation_ends; /* loop time; 0: there is none */
    struct file_watch watch;
    struct differ differ;
    ev_timer begin; /* of the first order */
    bool stopped;

    /* `live`, `sockets` and `log` have just been replaced; `log` tells whether
     * the log's target is another one. */
    void (*renewed)(void *arg, const struct log_targets *log);
    void *arg;
};

/* Nothing is carried out yet.  All that it is given outlives it. */
void reload_init(struct reload *r, struct slot_host *host,
                 const struct config_order *files, struct evaluation *live,
                 struct sockets *sockets);

/* The first generation serves, in as many `slots` as its plan has workers:
 * orders are carried out from now on. */
void reload_start(struct reload *r, struct slot *slots);

/* Ends whatever is under way; orders that wait are told so. */
void reload_stop(struct reload *r);

/* Carries out an order once those before it are done, and tells how it went:
 * `text` is one line for a person, or every error, one a line. `number`: of the
 * kept generation, or the one that it had before a rollback; 0: the youngest.
 * `done` may be NULL: then one order to reload that still waits does for
 * all. */
void reload_order(struct reload *r, enum reload_kind kind, unsigned number,
                  void (*done)(void *arg, bool ok, const char *text),
                  void *arg);

/* Tells the differences between the sources of two generations, live or kept,
 * as diff -u does.  Files that hold secrets are only named. */
void reload_diff(struct reload *r, unsigned from, unsigned to,
                 void (*done)(void *arg, bool ok, const char *text), void *arg);

/* Forgets a callback of either kind: who would be told is gone. */
void reload_forget(struct reload *r, const void *arg);

/* --- what happens to slots --- */
void reload_prepared(struct reload *r, struct slot *slot, unsigned generation,
                     struct slice why);
/* A worker serves what it was told to. */
void reload_serving(struct reload *r);
/* A worker is ready; it may have started with an older generation. */
void reload_ready(struct reload *r, struct slot *slot);
void reload_down(struct reload *r, struct slot *slot);
/* Several times a second. */
void reload_tick(struct reload *r);
