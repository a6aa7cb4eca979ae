#include "lua/spec_session.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"
#include "lua/target.h"
#include "lua/values.h"
#include "session/record.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX ((size_t)64 << 10)

static const struct listener_config *
find_listener(lua_State *L, int index, const struct config *c)
{
    struct slice name = value_text(L, index, "listener");
    struct slice protocol = value_text(L, index, "protocol");

    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener_config *l = &c->listeners[i];
        if ((name.ptr == NULL || slice_equal(l->name, name)) &&
            (protocol.ptr == NULL ||
             slice_equal(slice_of(l->proto->name), protocol)))
            return l;
    }
    return NULL;
}

static void
take_text(lua_State *L, int index, const char *name, struct slice *text)
{
    struct session *s = lua_touserdata(L, -1);
    struct slice copy = value_copy(L, index, name, &s->login->arena);

    if (copy.ptr != NULL)
        *text = copy;
}

static void
take_address(lua_State *L, int index, const char *name, struct addr *a)
{
    struct slice text = value_text(L, index, name);
    struct error err;

    if (text.ptr != NULL && !addr_parse_ip(text, 40000, a) &&
        !addr_parse(text, 0, a, &err))
        luaL_error(L, "%s: %s", name, err.text);
}

static void
take_mechanism(lua_State *L, int index, struct dialog *d)
{
    struct slice name = value_text(L, index, "mechanism");

    if (name.ptr == NULL)
        return;
    if (slice_equal(name, S("APOP")))
        d->credentials.mechanism = MECHANISM_APOP;
    else if (!mechanism_find(name, &d->credentials.mechanism))
        luaL_error(L, "unknown mechanism \"%s\"", name.ptr);
}

static void
take_upstream(lua_State *L, int index, struct session *s)
{
    struct slice upstream = {0};
    struct error err;

    take_text(L, index, "upstream", &upstream);
    if (upstream.ptr != NULL &&
        !target_parse(upstream, &s->login->target, &err))
        luaL_error(L, "upstream: %s", err.text);
}

void
spec_session_set(lua_State *L, int index, struct spec_session *spec)
{
    struct session *s = &spec->session;
    struct dialog *d = &s->login->dialog;
    double attempt = value_number(L, index, "attempt");

    lua_pushlightuserdata(L, s); /* for take_text */
    take_text(L, index, "user", &d->credentials.user);
    take_text(L, index, "password", &d->credentials.password.bytes);
    take_text(L, index, "authzid", &d->credentials.authzid);
    take_text(L, index, "response", &d->credentials.response);
    take_text(L, index, "challenge", &d->salt);
    take_text(L, index, "helo", &d->envelope.helo);
    take_text(L, index, "mail", &d->envelope.mail);
    take_text(L, index, "rcpt", &d->envelope.rcpt);
    take_text(L, index, "host", &s->login->client_host);
    take_text(L, index, "failure", &s->login->failure);
    take_text(L, index, "reply", &d->reply.text);
    take_upstream(L, index, s);
    lua_pop(L, 1);
    take_mechanism(L, index, d);
    take_address(L, index, "client", &s->client_addr);
    take_address(L, index, "server", &s->login->server_addr);
    record_set(&s->record.user, d->credentials.user);
    if (attempt > 0)
        s->attempts = (unsigned)attempt;
    s->record.mechanism = mechanism_name(d->credentials.mechanism);
}

struct spec_session *
spec_session_new(lua_State *L, int index, struct ev_loop *loop,
                 struct config *config)
{
    const struct listener_config *l = find_listener(L, index, config);
    struct error err;

    if (l == NULL)
        return NULL;
    struct spec_session *spec = xcalloc(1, sizeof *spec);
    struct session *s = &spec->session;
    spec->home.loop = loop;
    s->home = &spec->home;
    s->config = config_ref(config);
    s->listener = l;
    s->attempts = 1;
    s->began = ev_now(loop);
    memcpy(s->id, "01J00000000000000000000SPEC", sizeof s->id - 1);
    record_init(&s->record);
    require(addr_parse(S("203.0.113.9:40000"), 0, &s->client_addr, &err));
    s->login = xcalloc(1, sizeof *s->login);
    arena_init(&s->login->arena, ARENA_MAX);
    require(addr_parse(S("192.0.2.1:143"), 0, &s->login->server_addr, &err));
    s->login->dialog = (struct dialog){
        .proto = l->proto,
        .settings = &l->settings,
        .arena = &s->login->arena,
        .mechanisms = l->settings.mechanisms,
        .credentials.mechanism = MECHANISM_PLAIN,
    };
    s->login->upstream_attempt = 1;
    spec_session_set(L, index, spec);
    return spec;
}

void
spec_session_free(struct spec_session *spec)
{
    struct session *s = &spec->session;

    record_deinit(&s->record);
    arena_wipe(&s->login->arena);
    explicit_bzero(s->login, sizeof *s->login);
    free(s->login);
    config_unref(s->config);
    free(spec);
}

static void
set_text(lua_State *L, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

static void
set_target(lua_State *L, const char *name, const struct target *t,
           const struct proto *proto)
{
    if (!target_is_set(t))
        return;
    target_push_address(L, t, proto);
    lua_setfield(L, -2, name);
}

static void
set_login(lua_State *L, const struct login *l)
{
    lua_newtable(L);
    set_text(L, "user", l->user);
    set_text(L, "password", l->password.bytes);
    set_text(L, "authzid", l->authzid);
    lua_pushstring(L, mechanism_name(l->mechanism));
    lua_setfield(L, -2, "mechanism");
    lua_pushboolean(L, l->none);
    lua_setfield(L, -2, "none");
    lua_setfield(L, -2, "login");
}

void
spec_verdict_push(lua_State *L, const struct session *s)
{
    static const char *const modes[] = {
        [TLS_OFF] = "off",
        [TLS_STARTTLS] = "starttls",
        [TLS_IMPLICIT] = "implicit",
    };
    const struct verdict *v = &s->login->verdict;
    const struct proto *proto = s->listener->proto;

    lua_newtable(L);
    lua_pushstring(L, decision_name(v->kind));
    lua_setfield(L, -2, "kind");
    set_text(L, v->kind == VERDICT_REJECT ? "reason" : "log", v->log);
    set_text(L, "text", v->refusal.text);
    set_text(L, "code", v->refusal.code);
    set_text(L, "enhanced", v->refusal.enhanced);
    set_text(L, "policy", v->policy);
    set_text(L, "pool", v->target.pool);
    set_text(L, "key", v->target.pool_key);
    set_text(L, "user", v->user);
    set_target(L, "address", &v->target, proto);
    set_target(L, "fallback", &v->fallback, proto);
    lua_pushstring(L, modes[v->target.tls]);
    lua_setfield(L, -2, "tls");
    lua_pushnumber(L, v->delay);
    lua_setfield(L, -2, "delay");
    lua_pushboolean(L, v->close);
    lua_setfield(L, -2, "close");
    lua_pushboolean(L, v->bug);
    lua_setfield(L, -2, "bug");
    if (v->has_login)
        set_login(L, &v->login);
}
