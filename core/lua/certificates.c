#include "lua/certificates.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define EXPIRY_WARNING ((time_t)14 * 86400)

struct certificates *
certificates_new(void)
{
    return xcalloc(1, sizeof(struct certificates));
}

void
certificates_free(struct certificates *c)
{
    while (c != NULL && c->first != NULL) {
        struct own_certificate *one = c->first;
        c->first = one->next;
        tls_identity_unref(one->identity);
        free(one->name);
        free(one);
    }
    free(c);
}

static void
add_one(struct certificates *c, struct own_certificate *one)
{
    if (c->last == NULL)
        c->first = one;
    else
        c->last->next = one;
    c->last = one;
}

void
certificates_add(struct certificates *c, struct tls_identity *identity,
                 const struct tls_pair_config *pairs, size_t count)
{
    struct error err;

    for (size_t i = 0; i < count; i++) {
        struct own_certificate *one = xcalloc(1, sizeof *one);
        bool read =
            tls_certificate_read(pairs[i].certificate, &one->facts, &err);
        require(read); /* the identity was made of it */
        one->name = xstrndup(pairs[i].name, strlen(pairs[i].name));
        one->identity = tls_identity_ref(identity);
        add_one(c, one);
    }
}

static bool
is_named_before(const struct certificates *c, const struct own_certificate *one)
{
    const struct own_certificate *other = c->first;

    while (other != one && strcmp(other->name, one->name) != 0)
        other = other->next;
    return other != one;
}

void
certificates_warn(const struct certificates *c, time_t now)
{
    char text[640];

    for (const struct own_certificate *o = c->first; o != NULL; o = o->next) {
        if (!is_named_before(c, o) &&
            tls_certificate_warning(&o->facts, now, EXPIRY_WARNING, text))
            log_warn("certificate %s: %s", o->name, text);
    }
}
