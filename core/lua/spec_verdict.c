#include "lua/spec_verdict.h"

#include "base/slice.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"
#include "lua/secret.h"

#define WIRE_MAX ((size_t)8 << 10)

static void
set_text(lua_State *L, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

static void
set_flag(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
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
set_tls(lua_State *L, const struct target *t)
{
    static const char *const modes[] = {
        [TLS_OFF] = "off",
        [TLS_STARTTLS] = "starttls",
        [TLS_IMPLICIT] = "implicit",
    };

    lua_pushstring(L, modes[t->tls]);
    lua_setfield(L, -2, "tls");
}

/* The password stays a secret: a failed assertion prints the table. */
static void
set_login(lua_State *L, const struct login *l)
{
    lua_newtable(L);
    set_text(L, "user", l->user);
    if (l->password.bytes.len > 0) {
        secret_push(L, l->password.bytes);
        lua_setfield(L, -2, "password");
    }
    set_text(L, "authzid", l->authzid);
    lua_pushstring(L, mechanism_name(l->mechanism));
    lua_setfield(L, -2, "mechanism");
    set_flag(L, "none", l->none);
    lua_setfield(L, -2, "login");
}

/* What `proto` tells a client of the refusal, without tag and end of line. */
static void
set_wire(lua_State *L, const struct proto *proto,
         const struct proto_settings *settings, const struct refusal *refusal)
{
    struct arena arena;
    struct buf out;

    arena_init(&arena, WIRE_MAX);
    buf_init(&out, WIRE_MAX);
    struct dialog d = {
        .proto = proto,
        .settings = settings,
        .arena = &arena,
        .to_client = &out,
        .refusal = *refusal,
        .tag = S("a"),
    };
    proto->say(&d, SAY_REFUSAL);
    struct slice said = buf_bytes(&out);
    if (slice_has_prefix(said, S("a ")))
        said = slice_drop(said, 2);
    (void)slice_drop_suffix(&said, S("\r\n"));
    set_text(L, proto->name, said);
    buf_deinit(&out);
    arena_wipe(&arena);
}

static void
set_wires(lua_State *L, const struct session *s, const struct refusal *refusal)
{
    static const char *const names[] = {"imap", "pop3", "smtp"};

    lua_createtable(L, 0, 3);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        set_wire(L, proto_find(slice_of(names[i])), &s->listener->settings,
                 refusal);
    lua_setfield(L, -2, "wires");
}

/* What the session makes of it, see answers.c. */
static enum stage
stage_of(const struct session *s)
{
    switch (s->login->hook) {
    case HOOK_CERTIFICATE:
    case HOOK_CONNECT:
    case HOOK_SECURED:
        return STAGE_CONNECT;
    case HOOK_HELO:
    case HOOK_MAIL:
        return STAGE_COMMAND;
    case HOOK_RCPT:
    case HOOK_VERIFIER:
    case HOOK_AUTH:
    case HOOK_ROUTE:
    case HOOK_CONNECT_FAILED:
    case HOOK_UPSTREAM_AUTH:
    case HOOK_UPSTREAM_REFUSED:
    case HOOK_REFUSED:
    case HOOK_SPLICED:
    case HOOK_CLOSED:
    case HOOK_COUNT:
        break;
    }
    return s->login->dialog.envelope.rcpt.len > 0 ? STAGE_RCPT : STAGE_LOGIN;
}

static bool
is_refusal(const struct verdict *v)
{
    return v->kind == VERDICT_REJECT || v->kind == VERDICT_TEMPFAIL;
}

void
spec_verdict_push(lua_State *L, const struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    const struct proto *proto = s->listener->proto;
    struct refusal refusal = v->refusal;

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
    set_tls(L, &v->target);
    lua_pushnumber(L, v->delay);
    lua_setfield(L, -2, "delay");
    set_flag(L, "close", v->close);
    set_flag(L, "bug", v->bug);
    if (v->has_login)
        set_login(L, &v->login);
    refusal.stage = stage_of(s);
    if (is_refusal(v))
        set_wires(L, s, &refusal);
}

void
spec_refusal_push(lua_State *L, const struct session *s)
{
    const struct refusal *r = &s->login->dialog.refusal;
    bool temporary =
        r->reason == REASON_UNAVAILABLE || r->reason == REASON_SERVER_BUG;

    lua_newtable(L);
    lua_pushstring(
        L, decision_name(temporary ? VERDICT_TEMPFAIL : VERDICT_REJECT));
    lua_setfield(L, -2, "kind");
    set_text(L, temporary ? "log" : "reason", slice_of(s->record.log));
    set_flag(L, "bug", false);
    set_wires(L, s, r);
}

void
spec_target_set(lua_State *L, const struct session *s)
{
    const struct login_state *login = s->login;
    const struct proto *proto = s->listener->proto;

    set_text(L, "pool", login->target.pool);
    set_text(L, "key", login->target.pool_key);
    set_target(L, "address", &login->target, proto);
    set_target(L, "fallback", &login->fallback, proto);
    set_tls(L, &login->target);
}
