#include "lua/renewal.h"

#include "base/slice.h"
#include "lua/bundle.h"
#include "lua/certificates.h"
#include "lua/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
copy_file(const struct bundle_entry *entry, struct bundle_writer *w,
          struct plan *plan, struct error *err)
{
    char *path = xstrndup(entry->path.ptr, entry->path.len);
    struct file_stamp stamp;
    char *bytes;
    size_t len;

    bool done = source_read_pem(path, &bytes, &len, &stamp);
    if (done) {
        bundle_add(w, BUNDLE_TLS, entry->name, entry->path,
                   (struct slice){bytes, len});
        plan_files_add(&plan->tls, entry->path, &stamp);
        explicit_bzero(bytes, len);
        free(bytes);
    } else {
        (void)error_set(err, "%s: %s", path, strerror(errno));
    }
    free(path);
    return done;
}

bool
renewal_copy(const struct bundle *old, struct bundle_writer *w,
             struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < bundle_count(old); i++) {
        struct bundle_entry entry = bundle_at(old, i);
        if (entry.kind != BUNDLE_TLS)
            bundle_add(w, entry.kind, entry.name, entry.path, entry.bytes);
        else if (!copy_file(&entry, w, plan, err))
            return false;
    }
    return true;
}

static struct generation *
build(const struct host *host, const struct bundle *b, struct error *err)
{
    struct host bare = *host;

    bare.no_policies = true;
    return generation_new(&bare, b, 1, err);
}

bool
renewal_try(const struct host *host, const struct bundle *b, struct plan *plan,
            struct error *err)
{
    struct generation *g = build(host, b, err);
    bool built = g != NULL;

    if (built)
        plan_add_staples(plan, g->config->own);
    generation_free(g);
    return built;
}

/* Both configurations were built of the same text, so all has its twin. */
static bool
are_twins(const struct config *a, const struct config *b)
{
    if (a->listener_count != b->listener_count ||
        a->tls_profile_count != b->tls_profile_count)
        return false;
    for (size_t i = 0; i < a->listener_count; i++) {
        if (!slice_equal(a->listeners[i].name, b->listeners[i].name))
            return false;
    }
    return true;
}

static struct tls_profile *
profile_of(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->tls_profile_count; i++) {
        if (slice_equal(c->tls_profiles[i].name, name))
            return &c->tls_profiles[i];
    }
    return NULL;
}

static size_t
exchange_listeners(struct config *live, struct config *fresh)
{
    size_t count = 0;

    for (size_t i = 0; i < live->listener_count; i++) {
        struct listener_config *l = &live->listeners[i];
        struct tls_server_context *old = l->tls_context;
        l->tls_context = fresh->listeners[i].tls_context;
        fresh->listeners[i].tls_context = old;
        count += old != NULL;
    }
    return count;
}

static void
exchange_profiles(struct config *live, struct config *fresh)
{
    for (size_t i = 0; i < live->tls_profile_count; i++) {
        struct tls_profile *p = &live->tls_profiles[i];
        struct tls_profile *twin = profile_of(fresh, p->name);
        if (twin == NULL)
            continue;
        struct tls_client_context *old = p->context;
        p->context = twin->context;
        twin->context = old;
        memcpy(p->digest, twin->digest, sizeof p->digest);
    }
}

/* What the `certificate` hook chooses from. */
static void
exchange_certificates(struct config *live, struct config *fresh)
{
    for (size_t i = 0; i < live->certificate_count; i++) {
        struct tls_name *c = &live->certificates[i];
        for (size_t j = 0; j < fresh->certificate_count; j++) {
            struct tls_name *twin = &fresh->certificates[j];
            if (!slice_equal(c->name, twin->name))
                continue;
            struct tls_identity *old = c->identity;
            c->identity = twin->identity;
            twin->identity = old;
        }
    }
}

bool
renewal_take(struct generation *live, const struct bundle *b, size_t *count,
             struct error *err)
{
    struct generation *fresh = build(&live->host, b, err);

    if (fresh == NULL)
        return false;
    if (!are_twins(live->config, fresh->config)) {
        generation_free(fresh);
        return error_set(err, "they are of another configuration");
    }
    *count = exchange_listeners(live->config, fresh->config);
    exchange_profiles(live->config, fresh->config);
    exchange_certificates(live->config, fresh->config);
    struct certificates *old = live->config->own;
    live->config->own = fresh->config->own;
    fresh->config->own = old;
    generation_free(fresh);
    return true;
}
