/* generations.h -- the generations of policies of one worker: the one that
 * serves, the one that is being prepared to take its place, and those that
 * still have logins under way.
 *
 * Taking the place is a swap of pointers between two events of the loop: no
 * hook chain sees two generations, no session ends for it. */
#pragma once

#include "base/list.h"
#include "lua/policy_lua.h"
#include "process/deployment.h"
#include "session/probe.h"
#include "session/sessions.h"

#include <ev.h>

#define GENERATIONS_MAX 3 /* alive at a time; one more has to wait */

struct deployed; /* one generation with its bundle */

struct generations {
    const struct host *host;
    struct sessions *sessions; /* NULL until the first serves */
    struct probes *probes;
    struct deployed *current, *next;
    struct list retired;
    size_t count;      /* alive */
    bool exhausted;    /* the current one is to be rebuilt */
    ev_timer retiring; /* looks whether the retired are done */
    /* The one being prepared can serve, or can't, and is gone. */
    void (*prepared)(void *arg, unsigned generation, const char *error);
    /* Another one serves from now on. */
    void (*renewed)(void *arg);
    void *arg;
};

void generations_init(struct generations *g, const struct host *host);

/* Builds the generation that `d` (now ours) and the bundle at `fd` describe,
 * and runs its `init`; `prepared` is told, at once or later.  What was being
 * prepared before is given up. */
void generations_prepare(struct generations *g, struct deployment *d, int fd);

/* The prepared generation serves; false if it is not that one. */
bool generations_commit(struct generations *g, unsigned generation);

/* It is not wanted any more.  None, or another: nothing happens. */
void generations_abort(struct generations *g, unsigned generation);

/* `g` has filled its memory again and again: if it serves, it is soon replaced
 * by another of the same bundle and number.  Changes nothing by itself. */
void generations_rebuild(struct generations *all, const struct generation *g);

/* The generation that serves, and the listener that accepts on a socket: NULL
 * if there is none. */
struct generation *generations_current(const struct generations *g);
unsigned generations_number(const struct generations *g);
const struct listener_config *generations_listener(const struct generations *g,
                                                   unsigned socket);

/* Ends everything, sessions too. */
void generations_deinit(struct generations *g);
