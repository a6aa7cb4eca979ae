#include "lua/certificates.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"

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
        free(one->chain);
        free(one->responder);
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

/* A file is about one of the set; which, its content says. */
static bool
staple_files(struct tls_identity *identity, const struct stapling_config *s,
             struct error *err)
{
    for (size_t i = 0; i < s->file_count; i++) {
        if (!tls_identity_staple(identity, s->files[i], time(NULL), err))
            return error_context(err, "stapling_file");
    }
    return s->file_count > 0;
}

void
certificates_add(struct certificates *c, struct tls_identity *identity,
                 const struct tls_identity_config *config,
                 const struct stapling_config *stapling)
{
    struct error err = {""};
    bool stapled = staple_files(identity, stapling, &err);

    for (size_t i = 0; i < config->pair_count; i++) {
        const struct tls_pair_config *pair = &config->pairs[i];
        struct own_certificate *one = xcalloc(1, sizeof *one);
        bool read =
            tls_certificate_read(pair->certificate, &one->facts, &one->why);
        require(read); /* the identity was made of it */
        struct slice responder = stapling->responder.len > 0
                                     ? stapling->responder
                                     : slice_of(one->facts.ocsp);
        one->name = xstrndup(pair->name, strlen(pair->name));
        one->identity = tls_identity_ref(identity);
        one->chain = xstrndup(pair->certificate.ptr, pair->certificate.len);
        one->chain_len = pair->certificate.len;
        one->stapling = stapling->on;
        one->responder = xstrndup(responder.ptr, responder.len);
        one->stapled = stapled;
        one->why = err;
        add_one(c, one);
    }
}

bool
certificates_is_first(const struct certificates *c,
                      const struct own_certificate *o)
{
    const struct own_certificate *other = c->first;

    while (other != o && strcmp(other->name, o->name) != 0)
        other = other->next;
    return other == o;
}

bool
certificates_staple(const struct certificates *c, struct slice name,
                    struct slice der, time_t now, struct error *err)
{
    bool all = true;

    for (const struct own_certificate *o = c->first; o != NULL; o = o->next) {
        if (o->stapling && slice_equal(slice_of(o->name), name))
            all = tls_identity_staple(o->identity, der, now, err) && all;
    }
    return all;
}

static void
tell_of_staple(const struct own_certificate *o, certificate_fn tell, void *arg)
{
    if (o->why.text[0] != '\0')
        tell(arg, LOG_WARN, o->name, o->why.text);
    if (o->stapling && *o->responder == '\0')
        tell(arg, LOG_WARN, o->name, "stapling: it names no OCSP responder");
    if (o->facts.must_staple && !o->stapled &&
        (!o->stapling || *o->responder == '\0'))
        tell(arg, LOG_ERROR, o->name,
             "it must be stapled and is not: clients will refuse it");
}

void
certificates_tell(const struct certificates *c, time_t now, certificate_fn tell,
                  void *arg)
{
    char text[640];

    for (const struct own_certificate *o = c->first; o != NULL; o = o->next) {
        if (!certificates_is_first(c, o))
            continue;
        if (tls_certificate_warning(&o->facts, now, EXPIRY_WARNING, text))
            tell(arg, LOG_WARN, o->name, text);
        tell_of_staple(o, tell, arg);
    }
}

static void
log_one(void *arg, enum log_level level, const char *name, const char *text)
{
    (void)arg;
    log_write(level, "certificate %s: %s", name, text);
}

void
certificates_warn(const struct certificates *c, time_t now)
{
    certificates_tell(c, now, log_one, NULL);
}
