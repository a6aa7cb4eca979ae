/* imap_capabilities.h -- what is offered, by us and by an upstream.
 *
 * What a client sees before its login is computed: what the gateway itself
 * does until then, and what the upstreams will do afterwards. */
#pragma once

#include "base/types.h"

struct dialog;

/* Appends the list for the client to dialog->to_client, without a newline. */
void imap_tell_capabilities(struct dialog *d);

/* Whether `list` ("IMAP4rev1 IDLE") has `name`, in any case. */
bool imap_has_capability(struct slice list, struct slice name);

/* Learns from an upstream's `list` what other clients may be told before they
 * log in: nothing about logging in, TLS or compression. */
void imap_learn(struct dialog *d, struct slice list);
