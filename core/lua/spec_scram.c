#include "lua/spec_scram.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/slice.h"
#include "lua/objects.h"
#include "proto/sasl_upstream.h"

#include <gsasl.h>

#define CLIENT "moongate.spec.scram"

struct spec_scram {
    Gsasl *library;
    Gsasl_session *session;
};

static int
collect(lua_State *L)
{
    struct spec_scram *c = lua_touserdata(L, 1);

    if (c->session != NULL)
        gsasl_finish(c->session);
    if (c->library != NULL)
        gsasl_done(c->library);
    *c = (struct spec_scram){0};
    return 0;
}

static const luaL_Reg events[] = {
    {"__gc", collect},
    {NULL, NULL},
};

static void
set(struct spec_scram *c, Gsasl_property property, struct slice value)
{
    if (value.len > 0)
        require(gsasl_property_set_raw(c->session, property, value.ptr,
                                       value.len) == GSASL_OK);
}

struct spec_scram *
spec_scram_push(lua_State *L, const struct dialog *d)
{
    const struct credentials *given = &d->credentials;
    struct spec_scram *c = lua_newuserdata(L, sizeof *c);
    char exporter[64];

    *c = (struct spec_scram){0};
    object_set_type(L, CLIENT, events, NULL);
    require(gsasl_init(&c->library) == GSASL_OK);
    if (gsasl_client_start(c->library, mechanism_name(given->mechanism),
                           &c->session) != GSASL_OK)
        luaL_error(L, "no client of %s", mechanism_name(given->mechanism));
    set(c, GSASL_AUTHID, given->user);
    set(c, GSASL_AUTHZID, given->authzid);
    set(c, GSASL_PASSWORD, given->password.bytes);
    require(base64_encoded_len(d->tls_exporter.len) < sizeof exporter);
    base64_encode(d->tls_exporter, exporter);
    if (mechanism_is_bound(given->mechanism))
        set(c, GSASL_CB_TLS_EXPORTER,
            (struct slice){exporter, base64_encoded_len(d->tls_exporter.len)});
    return c;
}

struct slice
spec_scram_answer(lua_State *L, struct spec_scram *c, struct dialog *d,
                  struct slice challenge)
{
    char *said, *message = NULL;
    size_t len = 0;

    said = arena_alloc(d->arena, challenge.len + 1);
    if (said == NULL || !base64_decode(challenge, said, &len))
        luaL_error(L, "the gateway's challenge can't be read");
    int status = gsasl_step(c->session, said, len, &message, &len);
    struct slice answer = sasl_encode(d, (struct slice){message, len});
    gsasl_free(message);
    if (status != GSASL_OK && status != GSASL_NEEDS_MORE)
        luaL_error(L, "the client gives up: %s", gsasl_strerror(status));
    return answer;
}
