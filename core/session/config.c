#include "session/config.h"

#include "base/check.h"
#include "base/slice.h"

const struct tls_profile *
config_find_profile(const struct config *c, struct slice name)
{
    if (name.len == 0)
        name = S("default");
    for (size_t i = 0; i < c->tls_profile_count; i++) {
        if (slice_equal(c->tls_profiles[i].name, name))
            return &c->tls_profiles[i];
    }
    return NULL;
}

struct tls_client_context *
config_tls_profile(const struct config *c, struct slice name)
{
    const struct tls_profile *profile = config_find_profile(c, name);

    return profile != NULL ? profile->context : NULL;
}

struct tls_identity *
config_certificate(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->certificate_count; i++) {
        if (slice_equal(c->certificates[i].name, name))
            return c->certificates[i].identity;
    }
    return NULL;
}

const struct dict_config *
config_dict(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->dict_count; i++) {
        if (slice_equal(c->dicts[i].name, name))
            return &c->dicts[i];
    }
    return NULL;
}

bool
target_is_set(const struct target *t)
{
    return t->host.len > 0 || t->pool.len > 0;
}

const struct upstream_pool *
config_pool(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->pool_count; i++) {
        if (slice_equal(c->pools[i].pool.name, name))
            return &c->pools[i];
    }
    return NULL;
}

void
config_list_members(const struct config *c, struct pools *pools)
{
    pools_forget_listed(pools);
    for (size_t i = 0; i < c->pool_count; i++) {
        for (size_t j = 0; j < c->pools[i].pool.count; j++)
            member_list(c->pools[i].pool.members[j].member);
    }
}

const struct listener_config *
config_listener(const struct config *c, const struct listener_config *l)
{
    const struct listener_config *found = NULL;

    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *other = &c->listeners[i];
        if (other->proto != l->proto || !slice_equal(other->name, l->name))
            continue;
        if (slice_equal(other->address, l->address))
            return other;
        if (found == NULL)
            found = other;
    }
    return found;
}

struct config *
config_ref(struct config *c)
{
    c->references++;
    return c;
}

void
config_unref(struct config *c)
{
    require(c->references > 0);
    if (--c->references == 0)
        c->free(c);
}
