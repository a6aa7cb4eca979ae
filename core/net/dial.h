/* dial.h -- a connection to an upstream: names, all addresses, one deadline.
 *
 * Happy eyeballs (RFC 8305): addresses are tried in turn with 250 ms between
 * starts (AAAA and A interleaved), the first that connects wins and the others are closed at
 * once, so one login leaves one connection.  An address that refuses starts
 * the next one without waiting. */
#pragma once

#include "base/buf.h"
#include "net/addr.h"
#include "net/dns.h"
#include "net/stream.h"

#include <ev.h>

struct dial;

enum dial_status { DIAL_OK, DIAL_REFUSED, DIAL_TIMEOUT, DIAL_DNS, DIAL_FAILED };

struct dial_request {
    const char *host;          /* name, IP literal, or "unix:/path" */
    uint16_t port;             /* 0 only for unix sockets */
    const struct addr *source; /* bind to this local address, or NULL */
    double timeout;            /* seconds for everything */
    struct buf *greeting;      /* NULL, or of a peer that speaks first: the
                                  first it says is read into this, as that
                                  read tells too that it is connected.  Such
                                  a stream has not had its stream_tune() */
    const char *what;          /* "auth_http http://...": what it is for, told
                                  to those who stand in for the network */
};

/* Called once, never from inside dial_start, never after dial_cancel.  On
 * DIAL_OK the callee owns `stream` (copy it); `addr` is who answered.
 * `text` says what happened, for the log ("connect 10.0.0.1:143: refused"). */
typedef void (*dial_fn)(void *arg, enum dial_status status,
                        struct stream *stream, const struct addr *addr,
                        const char *text);

struct dial *dial_start(struct ev_loop *loop, struct dns *dns,
                        const struct dial_request *request, dial_fn done,
                        void *arg);
void dial_cancel(struct dial *d); /* NULL is fine */
