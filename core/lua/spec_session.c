#include "lua/spec_session.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/target.h"
#include "lua/values.h"
#include "session/login_state.h"
#include "session/record.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

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

/* Nothing listens to it: a hook's time is its call's own. */
static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Of a certificate, of TLS with the client. */
static void
take_certificate(lua_State *L, int index, struct tls_facts *tls,
                 struct arena *a)
{
    lua_getfield(L, index, "client_cert");
    tls->client_asked = lua_istable(L, -1);
    if (tls->client_asked) {
        int cert = lua_gettop(L);
        tls->client_verify = value_copy(L, cert, "verify", a);
        tls->subject = value_copy(L, cert, "subject", a);
        tls->issuer = value_copy(L, cert, "issuer", a);
        tls->serial = value_copy(L, cert, "serial", a);
        tls->fingerprint = value_copy(L, cert, "fingerprint", a);
        tls->fingerprint_sha256 = value_copy(L, cert, "fingerprint_sha256", a);
        if (tls->client_verify.ptr == NULL)
            tls->client_verify = S("SUCCESS");
        tls->client_verified = slice_equal(tls->client_verify, S("SUCCESS"));
        tls->client_passes = true;
    }
    lua_pop(L, 1);
}

/* `tls`: sni, version, cipher, alpn, resumed, starttls, client_cert. */
static void
take_tls(lua_State *L, int index, struct spec_session *spec)
{
    struct login_state *login = spec->session.login;
    struct arena *a = &login->arena;
    struct tls_facts *tls = &login->tls;

    lua_getfield(L, index, "tls");
    if (lua_istable(L, -1)) {
        int table = lua_gettop(L);
        *tls = (struct tls_facts){
            .sni = value_copy(L, table, "sni", a),
            .version = value_copy(L, table, "version", a),
            .cipher = value_copy(L, table, "cipher", a),
            .alpn = value_copy(L, table, "alpn", a),
            .resumed = value_flag(L, table, "resumed"),
        };
        if (tls->version.ptr == NULL)
            tls->version = S("TLSv1.3");
        if (tls->cipher.ptr == NULL)
            tls->cipher = S("TLS_AES_256_GCM_SHA384");
        take_certificate(L, table, tls, a);
        spec->starttls = value_flag(L, table, "starttls");
        login->dialog.secure = !spec->starttls;
        login->dialog.tls_exporter = S("what is exported of TLS in spec.");
        login->dialog.certified = tls->client_asked && tls->client_verified;
    }
    lua_pop(L, 1);
}

struct spec_session *
spec_session_new(lua_State *L, int index, const struct sessions *home,
                 struct config *config)
{
    const struct listener_config *l = find_listener(L, index, config);
    struct error err;

    if (l == NULL)
        return NULL;
    struct spec_session *spec = xcalloc(1, sizeof *spec);
    struct session *s = &spec->session;
    spec->home = *home;
    s->home = &spec->home;
    s->config = config_ref(config);
    s->generation = config->generation;
    s->listener = l;
    s->began = ev_now(home->loop);
    ev_init(&s->deadline, on_deadline);
    memcpy(s->id, "01J00000000000000000000SPEC", sizeof s->id - 1);
    record_init(&s->record);
    require(addr_parse(S("203.0.113.9:40000"), 0, &s->client_addr, &err));
    struct login_state *login = login_state_new(s, &spec->learnt);
    login->dialog.salt = S("");
    login->dialog.credentials.mechanism = MECHANISM_PLAIN;
    login->client_host = S("[UNAVAILABLE]");
    login->upstream_attempt = 1;
    require(addr_parse(S("192.0.2.1:143"), 0, &login->server_addr, &err));
    spec_session_set(L, index, spec);
    take_tls(L, index, spec);
    return spec;
}

void
spec_session_free(struct spec_session *spec)
{
    struct session *s = &spec->session;

    record_deinit(&s->record);
    login_state_free(s);
    config_unref(s->config);
    free(spec);
}
