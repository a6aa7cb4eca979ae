/* worker_link.h -- a worker's end of what the control process asks.
 *
 * Control may be anybody who broke into it: its messages are checked, and its
 * answers never hold up the loop.  They go out as far as it has granted and
 * its socket has room, a bounded share of each loop round; one that does not
 * read for long is dropped. */
#pragma once

#include "base/counters.h"
#include "process/control_words.h"
#include "session/sessions.h"

#include <ev.h>

struct worker_link;

/* What there is to tell. */
struct worker_link_host {
    struct ev_loop *loop;
    struct sessions *sessions;
    unsigned (*generation)(void *arg); /* that serves new sessions */
    struct lasting *lasting;           /* whose counters are told */
    /* Somebody has begun to follow sessions, or ended it. */
    void (*followed)(void *arg);
    void *arg;
};

struct worker_link *worker_link_new(const struct worker_link_host *host);
void worker_link_free(struct worker_link *l);

/* Takes over `fd`, from now on the only link to control. */
void worker_link_attach(struct worker_link *l, int fd);

/* Borrowed from the session. */
struct session_facts worker_link_facts(const struct session *s);

/* Whether somebody follows the sessions that `facts` are of, to look on or to
 * record them. */
bool worker_link_follows(const struct worker_link *l,
                         const struct session_facts *facts, bool records);

/* Whether there is anybody at all. */
bool worker_link_has_followers(const struct worker_link *l, bool records);

/* Tells those who do: `text` is one line, a JSON object.  Never waits: those
 * who are slow lose it, and are told how many they lost. */
void worker_link_publish(struct worker_link *l,
                         const struct session_facts *facts, bool records,
                         struct slice text);
