/* pop3.h -- the two halves of POP3, for the table in pop3.c. */
#pragma once

#include "proto/proto.h"

/* Who the client is: pop3_xclient.c.  pop3_on_xclient takes it from a trusted
 * peer; the others tell an upstream, and return whether they did. */
bool pop3_is_xclient_offered(struct slice greeting);
bool pop3_xclient_tell(struct dialog *d, bool offered);
bool pop3_xoip_tell(struct dialog *d);
enum ask pop3_on_xclient(struct dialog *d, struct slice argument);

/* The upstream half: pop3_upstream.c. */
enum parse pop3_frame_reply(struct dialog *d, struct slice in,
                            struct slice *reply);
enum ask pop3_on_reply(struct dialog *d, struct slice reply);
enum ask pop3_on_upstream_secured(struct dialog *d);
