/* control_links.h -- the control process' ends towards the supervisor and the
 * workers.
 *
 * A worker may be anybody who broke into it: what it says is checked, and one
 * that speaks nonsense is asked nothing more until it is started again. */
#pragma once

#include "process/control_words.h"

#include <ev.h>

struct control_links;

struct control_links_host {
    struct ev_loop *loop;
    unsigned slot_count;
    void (*reported)(void *arg, const struct report *report);
    /* An answer to the question `id`; false if it makes no sense. */
    bool (*answered)(void *arg, unsigned slot, uint64_t id, struct message *m);
    void (*linked)(void *arg, unsigned slot); /* a new pair */
    void (*lost)(void *arg, unsigned slot); /* its questions stay unanswered */
    bool (*told)(void *arg, struct message *m); /* LOG */
    void (*over)(void *arg);                    /* the supervisor has gone */
    void *arg;
};

/* Slots count from 1. */
struct control_links *control_links_new(const struct control_links_host *host);
void control_links_free(struct control_links *l);

/* false if the supervisor takes no more now. */
bool control_links_order(struct control_links *l,
                         const struct order *order) MUST_USE;

bool control_links_has(const struct control_links *l, unsigned slot);
/* false if the slot has no worker that could be asked. */
bool control_links_ask(struct control_links *l, unsigned slot,
                       const struct question *question) MUST_USE;
void control_links_grant(struct control_links *l, unsigned slot, uint64_t id,
                         uint64_t credit);
void control_links_forget(struct control_links *l, unsigned slot, uint64_t id);
