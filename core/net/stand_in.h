/* stand_in.h -- what a loop has in the place of the network.
 *
 * The loops of specs have one, and nothing that runs on them opens a
 * connection or asks a name server.  The loop of a worker has none. */
#pragma once

#include "net/dial.h"
#include "net/dns.h"

#include <ev.h>

/* How a dial ends. */
struct stand_in_dial {
    bool silent; /* nobody answers: until its deadline */
    enum dial_status status;
    int fd; /* DIAL_OK: a connected socket, now the dial's */
};

/* What is found of a name. */
struct stand_in_lookup {
    bool silent;
    double delay; /* seconds */
    enum dns_status status;
    struct slice records[16]; /* until the next call */
    size_t count;
};

struct stand_in {
    void (*dial)(struct stand_in *in, const struct dial_request *request,
                 struct stand_in_dial *end);
    void (*lookup)(struct stand_in *in, const struct dns_question *asked,
                   struct stand_in_lookup *found);
};

/* NULL: the network itself. */
static inline struct stand_in *
stand_in_of(struct ev_loop *loop)
{
    return ev_userdata(loop);
}
