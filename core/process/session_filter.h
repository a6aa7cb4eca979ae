/* session_filter.h -- which sessions are meant: `user=ann&ip=10.0.0.0/8`.
 *
 * What a client of the control socket names is checked here and again by the
 * worker that gets it. */
#pragma once

#include "base/check.h"
#include "base/types.h"
#include "net/network.h"
#include "process/message.h"

/* What a filter looks at. */
struct session_facts {
    struct slice id, user, protocol, listener, phase;
    const struct addr *client;
};

/* A text that is "" and a network that is not set match everything. */
struct session_filter {
    char user[513], session[32], protocol[16], listener[128], phase[16];
    char ip[64]; /* as it was given */
    struct network network;
};

void session_filter_init(struct session_filter *f);

/* Sets what is called `name`: user, session, ip, protocol, listener or phase.
 * false if it is none of them or the value makes no sense. */
bool session_filter_set(struct session_filter *f, struct slice name,
                        struct slice value, struct error *err) MUST_USE;

/* Whether it names one user, session or address, or a network. */
bool session_filter_is_narrow(const struct session_filter *f);

bool session_filter_matches(const struct session_filter *f,
                            const struct session_facts *facts);

void session_filter_put(const struct session_filter *f, struct message *m);
bool session_filter_get(struct session_filter *f, struct message *m) MUST_USE;
