/* imap_upstream.h -- IMAP towards the upstream, until the user is logged in.
 *
 * The upstream is asked for as little as possible: its capabilities when its
 * greeting has none, then the login under the client's own tag, so that the
 * tagged answer can be passed on. */
#pragma once

#include "proto/dialog.h"

enum parse imap_upstream_frame(struct dialog *d, struct slice in,
                               struct slice *reply);
enum ask imap_upstream_on_reply(struct dialog *d, struct slice reply);
enum ask imap_upstream_on_secured(struct dialog *d);
