#include "lua/envelope_object.h"

#include "base/base64.h"
#include "base/slice.h"
#include "lua/target.h"
#include "proto/envelope.h"
#include "session/sessions.h"

static void
set_text(lua_State *L, const char *name, struct slice text)
{
    lua_pushlstring(L, text.ptr != NULL ? text.ptr : "", text.len);
    lua_setfield(L, -2, name);
}

static void
set_string(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void
set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

void
envelope_push(lua_State *L, struct slice command)
{
    struct envelope_address a = envelope_parse(command);
    struct slice name, value;

    lua_newtable(L);
    set_text(L, "address", a.address);
    set_text(L, "local_part", a.local_part);
    if (a.domain.ptr != NULL)
        set_text(L, "domain", a.domain);
    lua_newtable(L);
    while (envelope_next_param(&a.params, &name, &value)) {
        lua_pushlstring(L, name.ptr, name.len);
        lua_pushlstring(L, value.ptr, value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "params");
}

void
verifier_request_push(lua_State *L, const struct session *s)
{
    const struct credentials *c = &s->login->dialog.credentials;
    enum scram_hash hash = mechanism_hash(c->mechanism);
    char salt[SCRAM_SALT_LEN], text[(SCRAM_SALT_LEN + 2) / 3 * 4];

    scram_salt(s->config->scram_secret, hash, c->user, salt);
    base64_encode((struct slice){salt, sizeof salt}, text);
    lua_newtable(L);
    set_string(L, "mechanism", scram_hash_name(hash));
    set_text(L, "user", c->user);
    if (c->authzid.len > 0)
        set_text(L, "authzid", c->authzid);
    set_text(L, "salt", (struct slice){text, sizeof text});
    set_number(L, "iterations", s->config->scram_iterations);
}

void
target_push_address(lua_State *L, const struct target *t,
                    const struct proto *proto)
{
    char text[TARGET_TEXT_MAX];
    struct slice address = target_format(t, proto, text);

    lua_pushlstring(L, address.ptr, address.len);
}

void
upstream_push(lua_State *L, const struct session *s)
{
    const struct target *t = &s->login->target;

    lua_newtable(L);
    target_push_address(L, t, s->listener->proto);
    lua_setfield(L, -2, "address");
    set_text(L, "host", t->host);
    set_number(L, "port", target_port(t, s->listener->proto));
    set_string(L, "tls", target_tls_name(t->tls));
    if (t->pool.len > 0)
        set_text(L, "pool", t->pool);
}

const char *
reason_label(enum reason reason)
{
    switch (reason) {
    case REASON_BAD_CREDENTIALS:
        return "bad-credentials";
    case REASON_NOT_ALLOWED:
        return "not-allowed";
    case REASON_LIMIT:
        return "limit";
    case REASON_EXPIRED:
        return "expired";
    case REASON_TLS_REQUIRED:
        return "tls-required";
    case REASON_SERVER_BUG:
        return "server-bug";
    case REASON_UNAVAILABLE:
    case REASON_EARLY:
    case REASON_TOO_MANY:
    case REASON_TIMEOUT:
    case REASON_SHUTDOWN:
    case REASON_KICKED:
    case REASON_CERTIFICATE:
    case REASON_COUNT:
        break;
    }
    return "unavailable";
}

void
reply_push(lua_State *L, const struct session *s)
{
    lua_newtable(L);
    set_text(L, "text", s->login->dialog.reply.text);
    set_string(L, "reason", reason_label(s->login->dialog.reply.reason));
}

void
refused_push(lua_State *L, const struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    enum reason reason = v->refusal.reason;

    lua_newtable(L);
    lua_pushboolean(L, v->kind == VERDICT_TEMPFAIL ||
                           reason == REASON_UNAVAILABLE ||
                           reason == REASON_SERVER_BUG);
    lua_setfield(L, -2, "temporary");
    set_string(L, "reason", reason_label(reason));
    set_text(L, "policy", v->policy);
    set_text(L, "log", v->log);
}

void
summary_push(lua_State *L, const struct session *s)
{
    lua_newtable(L);
    set_string(L, "reason", end_name(s->end));
    set_string(L, "phase", phase_name(s->end_phase));
    set_string(L, "user", s->record.user);
    set_string(L, "policy", s->record.policy);
    set_string(L, "upstream", s->record.upstream);
    set_string(L, "pool", s->record.pool);
    set_string(L, "mechanism", s->record.mechanism);
    set_string(L, "log", s->record.log);
    set_number(L, "attempts", s->attempts);
    set_number(L, "bytes_up", (double)s->up.bytes);
    set_number(L, "bytes_down", (double)s->down.bytes);
    set_number(L, "seconds", ev_now(s->home->loop) - s->began);
}
