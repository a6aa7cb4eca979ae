/* network.h -- ranges of addresses, such as "10.0.0.0/8". */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "net/addr.h"

struct network {
    int family;              /* AF_INET, AF_INET6, AF_UNIX (all of them) */
    unsigned bits;           /* that must be equal */
    unsigned char bytes[16]; /* network byte order */
};

/* Reads "10.0.0.0/8", "2001:db8::/32", "192.0.2.1" or "unix:". */
bool network_parse(struct slice text, struct network *n, struct error *err);

/* Whether `a` is in one of them.  An IPv4 address that came mapped into IPv6
 * is in the IPv4 network. */
bool networks_contain(const struct network *networks, size_t count,
                      const struct addr *a);
