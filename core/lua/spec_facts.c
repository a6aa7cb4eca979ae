#include "lua/spec_facts.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/config.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"
#include "lua/failure.h"
#include "lua/hook_run.h"
#include "lua/objects.h"
#include "lua/session_object.h"
#include "lua/vars.h"
#include "session/record.h"
#include "session/sessions.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

static void
add_name(lua_State *L, const char *name)
{
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
}

/* hooks = { auth = { accept = true, ... }, init = {}, ... } */
static void
push_hooks(lua_State *L)
{
    lua_newtable(L);
    for (int hook = 0; hook < HOOK_ALL; hook++) {
        lua_newtable(L);
        for (int kind = VERDICT_ACCEPT; kind <= VERDICT_VERIFIER; kind++) {
            if (hook < HOOK_COUNT &&
                hook_may((enum hook)hook, (enum verdict_kind)kind))
                add_name(L, decision_name((enum verdict_kind)kind));
        }
        lua_setfield(L, -2, hook_label(hook));
    }
}

/* decisions = { wait = { seconds = true }, ... } */
static void
push_decisions(lua_State *L)
{
    const char *name;

    lua_newtable(L);
    for (int kind = VERDICT_ACCEPT; kind <= VERDICT_VERIFIER; kind++) {
        lua_newtable(L);
        for (size_t i = 0;
             (name = decision_option((enum verdict_kind)kind, i)) != NULL; i++)
            add_name(L, name);
        lua_setfield(L, -2, decision_name((enum verdict_kind)kind));
    }
}

static void
push_reasons(lua_State *L)
{
    const char *label;

    lua_newtable(L);
    for (size_t i = 0; (label = reason_label_at(i)) != NULL; i++) {
        if (*label != '\0')
            add_name(L, label);
    }
}

static void
push_mechanisms(lua_State *L)
{
    lua_newtable(L);
    for (int m = MECHANISM_NONE + 1; m < MECHANISM_COUNT; m++)
        add_name(L, mechanism_name((enum mechanism)m));
}

static void
push_failures(lua_State *L)
{
    lua_newtable(L);
    for (int kind = FAILURE_TIMEOUT; kind <= FAILURE_CANCELLED; kind++)
        add_name(L, failure_name((enum failure)kind));
}

/* ends = { idle = "no byte for the idle timeout", ... } */
static void
push_ends(lua_State *L)
{
    static const char *const texts[END_COUNT] = {
#define END(id, clean, name, text) [END_##id] = (text),
#include "session/ends.def"
#undef END
    };

    lua_newtable(L);
    for (int end = END_NONE + 1; end < END_COUNT; end++) {
        lua_pushstring(L, texts[end]);
        lua_setfield(L, -2, end_name((enum end)end));
    }
}

static void
push_phases(lua_State *L)
{
    lua_newtable(L);
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        add_name(L, phase_name((enum phase)phase));
}

/* --- objects --- */

/* A session of which everything is known. */
struct known {
    struct sessions home;
    struct listener_config listener;
    struct session session;
    struct login_state login;
};

static void
know_tls(struct tls_facts *tls)
{
    *tls = (struct tls_facts){
        .version = S("x"),
        .cipher = S("x"),
        .sni = S("x"),
        .alpn = S("x"),
        .client_asked = true,
        .client_verify = S("x"),
        .subject = S("x"),
        .issuer = S("x"),
        .serial = S("x"),
        .fingerprint = S("x"),
        .fingerprint_sha256 = S("x"),
    };
}

static void
know_proxy(struct proxy_header *header)
{
    *header = (struct proxy_header){
        .alpn = S("x"),
        .authority = S("x"),
        .unique_id = S("x"),
        .tls = true,
        .tls_version = S("x"),
        .tls_cipher = S("x"),
        .common_name = S("x"),
    };
}

static void
know_login(struct login_state *login, const struct proto *proto)
{
    struct addr a;
    struct error err;

    require(addr_parse(S("192.0.2.1:25"), 0, &a, &err));
    login->server_addr = login->proxy_addr = a;
    login->client_host = S("x");
    login->target.host = login->target.pool = S("x");
    login->dialog.proto = proto;
    login->dialog.secure = true;
    login->dialog.envelope.helo = S("x");
    login->dialog.envelope.mail = S("MAIL FROM:<x@y> SIZE=1");
    login->dialog.reply.text = S("x");
    know_tls(&login->tls);
    know_proxy(&login->proxy_header);
}

static struct known *
known_new(struct ev_loop *loop)
{
    struct known *k = xcalloc(1, sizeof *k);
    struct session *s = &k->session;

    k->home.loop = loop;
    k->listener.name = S("x");
    k->listener.proto = proto_find(S("smtp"));
    s->home = &k->home;
    s->listener = &k->listener;
    s->login = &k->login;
    know_login(&k->login, k->listener.proto);
    s->client_addr = k->login.server_addr;
    record_init(&s->record);
    s->record.mechanism = mechanism_name(MECHANISM_PLAIN);
    record_set(&s->record.user, S("x"));
    record_set(&s->record.upstream, S("x"));
    record_set(&s->record.pool, S("x"));
    record_set(&s->record.origin, S("x"));
    return k;
}

static void
known_free(struct known *k)
{
    vars_unref(k->session.record.vars);
    k->session.record.vars = NULL;
    record_deinit(&k->session.record);
    free(k);
}

/* session = { id = "...", client = { ip = "...", ... }, log = function ... } */
static void
push_session(lua_State *L, struct session *s)
{
    const char *name;

    lua_newtable(L);
    session_object_push(L, s);
    for (size_t i = 0; (name = session_object_name(i)) != NULL; i++) {
        lua_getfield(L, -1, name);
        lua_setfield(L, -3, name);
    }
    session_object_expire(L, lua_gettop(L));
    lua_pop(L, 1);
}

/* credentials = { user = true, ... }: a mechanism has only some of them. */
static void
push_credentials(lua_State *L)
{
    const char *name;

    lua_newtable(L);
    for (size_t i = 0; (name = credentials_object_name(i)) != NULL; i++)
        add_name(L, name);
}

static void
push_objects(lua_State *L)
{
    struct known *k = known_new(host_of(L)->loop);
    struct session *s = &k->session;

    push_session(L, s);
    lua_setfield(L, -2, "session");
    push_credentials(L);
    lua_setfield(L, -2, "credentials");
    envelope_push(L, s->login->dialog.envelope.mail);
    lua_setfield(L, -2, "rcpt");
    upstream_push(L, s);
    lua_setfield(L, -2, "upstream");
    reply_push(L, s);
    lua_setfield(L, -2, "reply");
    summary_push(L, s);
    lua_setfield(L, -2, "summary");
    failure_push_object(L, FAILURE_TIMEOUT, "x");
    lua_setfield(L, -2, "err");
    known_free(k);
}

int
spec_facts(lua_State *L)
{
    static const struct {
        const char *name;
        void (*push)(lua_State *L);
    } parts[] = {
        {"hooks", push_hooks},       {"decisions", push_decisions},
        {"reasons", push_reasons},   {"mechanisms", push_mechanisms},
        {"failures", push_failures}, {"ends", push_ends},
        {"phases", push_phases},
    };

    lua_newtable(L);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i].push(L);
        lua_setfield(L, -2, parts[i].name);
    }
    lua_newtable(L);
    push_objects(L);
    lua_setfield(L, -2, "objects");
    return 1;
}

/* --- refusals --- */

static void
set_slice(lua_State *L, const char *name, struct slice text)
{
    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    lua_setfield(L, -2, name);
}

int
spec_refusal(lua_State *L)
{
    static const char *const stages[] = {
        [STAGE_CONNECT] = "connect",
        [STAGE_COMMAND] = "command",
        [STAGE_LOGIN] = "login",
        [STAGE_RCPT] = "rcpt",
    };
    struct refusal r = {.reason =
                            reason_of_label(slice_of(luaL_checkstring(L, 1)))};
    char code[32];

    lua_newtable(L);
    set_slice(L, "text", refusal_text(&r));
    set_slice(L, "imap", refusal_imap_code(&r));
    set_slice(L, "pop3", refusal_pop3_code(&r));
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        r.stage = (enum stage)i;
        refusal_smtp_code(&r, code);
        set_slice(L, stages[i], slice_of(code));
    }
    return 1;
}

/* --- the configuration --- */

int
spec_read_configuration(lua_State *L)
{
    struct vm *vm = vm_of(L);
    struct generation g = {
        .vm = vm, .source = vm->source, .host = *vm->host, .number = 1};
    struct plan plan;
    struct error err = {""};

    luaL_checktype(L, 1, LUA_TTABLE);
    struct config *c = config_build(&g, 1, &err);
    if (c == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, err.text);
        return 2;
    }
    plan_build(L, 1, c, &plan);
    plan_deinit(&plan);
    config_unref(c);
    lua_pushboolean(L, 1);
    return 1;
}
