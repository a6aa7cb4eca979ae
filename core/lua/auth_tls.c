#include "lua/auth_tls.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/stream_tls.h"

#include <stdio.h>
#include <stdlib.h>

void
auth_tls_init(struct auth_tls *t)
{
    *t = (struct auth_tls){.profile = xstrndup("", 0),
                           .server_name = xstrndup("", 0),
                           .verify = TLS_VERIFY_FULL};
}

void
auth_tls_deinit(struct auth_tls *t)
{
    free(t->profile);
    free(t->server_name);
    *t = (struct auth_tls){0};
}

void
auth_tls_name(struct auth_tls *t, const char *profile, const char *server_name)
{
    free(t->profile);
    free(t->server_name);
    t->profile = xstrndup(profile, strlen(profile));
    t->server_name = xstrndup(server_name, strlen(server_name));
}

/* Looked up each time: certificates may have been renewed. */
static struct tls_client_context *
context_of(const struct auth_tls *t)
{
    if (t->config == NULL)
        return NULL;
    return config_tls_profile(t->config, slice_of(t->profile));
}

bool
auth_tls_is_ready(const struct auth_tls *t)
{
    return context_of(t) != NULL;
}

void
auth_tls_describe(const struct auth_tls *t, struct buf *out)
{
    const struct tls_profile *profile =
        t->config != NULL ? config_find_profile(t->config, slice_of(t->profile))
                          : NULL;
    struct slice pins = {(const char *)t->pins, t->pin_count * TLS_PIN_SIZE};
    bool ok = buf_printf(out, "%d %s\n%.*s\n", (int)t->verify, t->server_name,
                         profile != NULL ? (int)sizeof profile->digest : 0,
                         profile != NULL ? profile->digest : "") &&
              buf_append(out, pins);

    require(ok); /* all of it is bounded */
}

bool
auth_tls_start(const struct auth_tls *t, const char *host, uint16_t port,
               struct stream *stream)
{
    struct tls_client_context *context = context_of(t);
    bool named = *t->server_name != '\0';
    char place[300];

    int len = snprintf(place, sizeof place, "%s:%u", host, port);
    struct tls_target target = {
        .verify = t->verify,
        .name = slice_of(named ? t->server_name : host),
        .pins = t->pins,
        .pin_count = t->pin_count,
        .place = {place, (size_t)len},
    };
    return context != NULL && stream_start_tls_client(stream, context, &target);
}
