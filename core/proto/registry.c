#include "base/slice.h"
#include "proto/protocols.h"

static const struct proto *const registry[] = {
    &proto_imap,
    &proto_pop3,
    &proto_smtp,
};

#define REGISTERED (sizeof registry / sizeof registry[0])

const struct proto *
proto_find(struct slice name)
{
    for (size_t i = 0; i < REGISTERED; i++) {
        if (slice_equal_nocase(name, slice_of(registry[i]->name)))
            return registry[i];
    }
    return NULL;
}

const struct proto *
proto_of_port(uint16_t port)
{
    for (size_t i = 0; port != 0 && i < REGISTERED; i++) {
        const struct proto *p = registry[i];
        if (port == p->port || port == p->port_tls || port == p->port_more)
            return p;
    }
    return NULL;
}
