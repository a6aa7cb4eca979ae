#include "base/check.h"
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

_Static_assert(REGISTERED <= PROTOCOLS_MAX, "they have numbers");

const struct proto *
proto_at(size_t number)
{
    return number < REGISTERED ? registry[number] : NULL;
}

size_t
proto_number(const struct proto *p)
{
    for (size_t i = 0; i < REGISTERED; i++) {
        if (registry[i] == p)
            return i;
    }
    unreachable();
}
