/* addr.h -- socket addresses as values and as text. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#include <sys/socket.h>
#include <sys/un.h>

#define ADDR_TEXT_MAX 128 /* "[v6]:port" or "unix:/path", with NUL */

struct addr {
    socklen_t len; /* 0: no address */
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    };
};

/* Reads "1.2.3.4:143", "[::1]:143", "*:143" (v4 any), "unix:/path".  A host
 * name is an error here: names are for dial.h.  `default_port` 0 makes the
 * port mandatory. */
bool addr_parse(struct slice text, uint16_t default_port, struct addr *a,
                struct error *err);

/* A number from 0 to 65535, of at most five digits. */
bool addr_parse_port(struct slice text, uint16_t *port);

/* An IP literal without port ("1.2.3.4", "::1", "[::1]"). */
bool addr_parse_ip(struct slice text, uint16_t port, struct addr *a);

/* "1.2.3.4:143", "[::1]:143", "unix:/path". Returns `out`. */
const char *addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* Without port and brackets; "unix:" for local sockets. */
const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX]);

#define PLACE_TEXT_MAX 280 /* as place_format writes it, with NUL */

/* "host:port" for logs, an IPv6 address in brackets; without a port, as a unix
 * socket has none, the host as it is.  It has at most 255 bytes. */
void place_format(struct slice host, unsigned port, char out[PLACE_TEXT_MAX]);

uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port); /* IP addresses only */
bool addr_is_local(const struct addr *a);          /* a unix socket */
bool addr_is_any(const struct addr *a);            /* 0.0.0.0 or [::] */

/* The same family, address and port, or path; what is none equals nothing. */
bool addr_equal(const struct addr *a, const struct addr *b);
