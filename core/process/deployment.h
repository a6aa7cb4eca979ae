/* deployment.h -- which generation a worker is to serve, and on what.
 *
 * Sent with SETUP, for the worker's first, and with PREPARE, for every later
 * one; the bundle comes along as a descriptor. */
#pragma once

#include "process/message.h"
#include "process/sockets.h"

struct deployment {
    unsigned generation;
    size_t listener_count;
    unsigned *sockets; /* ids, in the order of the configuration's listeners */
};

void deployment_put(unsigned generation, const struct sockets *sockets,
                    struct message *m);

/* false if it makes no sense.  Either way `deployment_deinit` follows. */
bool deployment_get(struct deployment *d, struct message *m) MUST_USE;
void deployment_deinit(struct deployment *d);
