/* dns_channel.h -- c-ares on a libev loop: its sockets and its clock. */
#pragma once

#include "base/error.h"

#include <ares.h>
#include <ev.h>

struct dns_channel;

struct dns_channel *dns_channel_new(struct ev_loop *loop, const char *servers,
                                    struct error *err);
/* c-ares calls back for every question that is under way. */
void dns_channel_free(struct dns_channel *c);

/* Ask here, then call dns_channel_asked so that the clock runs. */
ares_channel dns_channel_ares(struct dns_channel *c);
void dns_channel_asked(struct dns_channel *c);
