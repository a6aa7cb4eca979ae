#include "lua/session_object.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/envelope_object.h"
#include "lua/log_lua.h"
#include "lua/objects.h"
#include "lua/session_tls.h"
#include "lua/vars.h"
#include "proto/envelope.h"
#include "session/record.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_MAX 512

/* `session` is NULL when the hook is over. */
struct session_object {
    struct session *session;
};

/* Holds a reference of its own: it may live as long as the hook. */
struct vars_object {
    struct vars *vars;
};

struct session *
object_session(lua_State *L, int index)
{
    struct session_object *o = object_check(L, index, OBJECT_SESSION);

    if (o->session == NULL)
        luaL_error(L, "the session was used after its hook had ended");
    return o->session;
}

/* --- vars --- */

static struct vars *
check_vars(lua_State *L)
{
    struct vars_object *o = object_check(L, 1, OBJECT_VARS);

    return o->vars;
}

static int
vars_index(lua_State *L)
{
    vars_get(check_vars(L), L, 2);
    return 1;
}

static int
vars_newindex(lua_State *L)
{
    vars_set(check_vars(L), L, 2, 3);
    return 0;
}

static int
vars_call(lua_State *L)
{
    vars_table(check_vars(L), L);
    return 1;
}

static int
vars_collect(lua_State *L)
{
    struct vars_object *o = lua_touserdata(L, 1);

    vars_unref(o->vars);
    o->vars = NULL;
    return 0;
}

static const luaL_Reg vars_events[] = {
    {"__index", vars_index},
    {"__newindex", vars_newindex},
    {"__call", vars_call},
    {"__gc", vars_collect},
    {NULL, NULL},
};

static int
push_vars(lua_State *L, struct session *s)
{
    if (s->record.vars == NULL)
        s->record.vars = vars_new();
    struct vars_object *o = lua_newuserdata(L, sizeof *o);
    o->vars = vars_ref(s->record.vars);
    object_become(L, OBJECT_VARS, vars_events, NULL);
    return 1;
}

/* --- fields --- */

static int
push_text(lua_State *L, struct slice text)
{
    if (text.len == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text.ptr, text.len);
    return 1;
}

static void
push_address(lua_State *L, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];

    lua_newtable(L);
    if (a->len == 0)
        return;
    lua_pushstring(L, addr_format_ip(a, text));
    lua_setfield(L, -2, "ip");
    if (!addr_is_local(a)) {
        lua_pushinteger(L, addr_port(a));
        lua_setfield(L, -2, "port");
    }
}

static int
push_client(lua_State *L, struct session *s)
{
    push_address(L, &s->client_addr);
    if (s->login == NULL)
        return 1;
    (void)push_text(L, s->login->client_host);
    lua_setfield(L, -2, "host");
    (void)push_text(L, s->login->dialog.envelope.helo);
    lua_setfield(L, -2, "helo");
    return 1;
}

static int
push_server(lua_State *L, struct session *s)
{
    struct addr none = {0};

    push_address(L, s->login == NULL ? &none : session_server_addr(s));
    return 1;
}

static int
push_upstream(lua_State *L, struct session *s)
{
    if (s->record.upstream[0] != '\0' || s->login == NULL)
        return push_text(L, slice_of(s->record.upstream));
    if (s->login->target.host.len == 0) {
        lua_pushnil(L);
        return 1;
    }
    target_push_address(L, &s->login->target, s->listener->proto);
    return 1;
}

static int
push_mail_from(lua_State *L, struct session *s)
{
    struct envelope_address a;

    if (s->login == NULL || s->login->dialog.envelope.mail.len == 0) {
        lua_pushnil(L);
        return 1;
    }
    a = envelope_parse(s->login->dialog.envelope.mail);
    lua_pushlstring(L, a.address.ptr, a.address.len);
    return 1;
}

enum field {
    FIELD_ID,
    FIELD_ORIGIN,
    FIELD_PROTOCOL,
    FIELD_LISTENER,
    FIELD_CLIENT,
    FIELD_SERVER,
    FIELD_PROXY,
    FIELD_TLS,
    FIELD_ATTEMPT,
    FIELD_USER,
    FIELD_UPSTREAM,
    FIELD_POOL,
    FIELD_UPSTREAM_ATTEMPT,
    FIELD_MAIL_FROM,
    FIELD_GENERATION,
    FIELD_VARS,
    FIELD_COUNT,
};

static const char *const fields[] = {
    [FIELD_ID] = "id",
    [FIELD_ORIGIN] = "origin",
    [FIELD_PROTOCOL] = "protocol",
    [FIELD_LISTENER] = "listener",
    [FIELD_CLIENT] = "client",
    [FIELD_SERVER] = "server",
    [FIELD_PROXY] = "proxy",
    [FIELD_TLS] = "tls",
    [FIELD_ATTEMPT] = "attempt",
    [FIELD_USER] = "user",
    [FIELD_UPSTREAM] = "upstream",
    [FIELD_POOL] = "pool",
    [FIELD_UPSTREAM_ATTEMPT] = "upstream_attempt",
    [FIELD_MAIL_FROM] = "mail_from",
    [FIELD_GENERATION] = "generation",
    [FIELD_VARS] = "vars",
    [FIELD_COUNT] = NULL,
};

static int
push_field(lua_State *L, struct session *s, enum field field)
{
    switch (field) {
    case FIELD_ID:
        lua_pushstring(L, s->id);
        return 1;
    case FIELD_ORIGIN:
        return push_text(L, slice_of(s->record.origin));
    case FIELD_PROTOCOL:
        lua_pushstring(L, s->listener->proto->name);
        return 1;
    case FIELD_LISTENER:
        return push_text(L, s->listener->name);
    case FIELD_CLIENT:
        return push_client(L, s);
    case FIELD_SERVER:
        return push_server(L, s);
    case FIELD_PROXY:
        return session_proxy_push(L, s);
    case FIELD_TLS:
        return session_tls_push(L, s);
    case FIELD_ATTEMPT:
        lua_pushinteger(L, (lua_Integer)s->attempts);
        return 1;
    case FIELD_USER:
        return push_text(L, slice_of(s->record.user));
    case FIELD_UPSTREAM:
        return push_upstream(L, s);
    case FIELD_POOL:
        return push_text(L, slice_of(s->record.pool));
    case FIELD_UPSTREAM_ATTEMPT:
        lua_pushinteger(L,
                        s->login ? (lua_Integer)s->login->upstream_attempt : 0);
        return 1;
    case FIELD_MAIL_FROM:
        return push_mail_from(L, s);
    case FIELD_GENERATION:
        lua_pushinteger(L, (lua_Integer)s->generation);
        return 1;
    case FIELD_VARS:
        return push_vars(L, s);
    case FIELD_COUNT:
        break;
    }
    unreachable();
}

/* --- methods --- */

static int
method_log(lua_State *L)
{
    const struct session *s = object_session(L, 1);
    char prefix[64];

    (void)snprintf(prefix, sizeof prefix, "session %s: ", s->id);
    log_from_lua(L, 2, prefix);
    return 0;
}

static int
method_deadline(lua_State *L)
{
    (void)object_session(L, 1);
    lua_pushnumber(L, await_time_left(L));
    return 1;
}

static int
method_count(lua_State *L)
{
    (void)object_session(L, 1);
    lua_remove(L, 1);
    vm_core(L, "count");
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* The next policies of the chain, and the upstream, see this name. */
static int
method_set_user(lua_State *L)
{
    struct session *s = object_session(L, 1);
    struct slice name;

    name.ptr = luaL_checklstring(L, 2, &name.len);
    if (s->login == NULL)
        return luaL_error(L, "set_user: the login is over");
    if (name.len == 0 || name.len > USER_MAX || has_control(name))
        return luaL_error(L,
                          "set_user: a name of 1 to %d bytes without "
                          "control characters expected",
                          USER_MAX);
    struct slice kept = dialog_keep(&s->login->dialog, name);
    if (kept.len == 0)
        return luaL_error(L, "set_user: no memory is left in this login");
    s->login->dialog.credentials.user = kept;
    record_set(&s->record.user, kept);
    return 0;
}

static const luaL_Reg methods[] = {
    {"log", method_log},
    {"deadline", method_deadline},
    {"count", method_count},
    {"set_user", method_set_user},
    {NULL, NULL},
};

static int
index_session(lua_State *L)
{
    struct session *s = object_session(L, 1);
    const char *name = luaL_checkstring(L, 2);

    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i], name) == 0)
            return push_field(L, s, (enum field)i);
    }
    for (const luaL_Reg *m = methods; m->name != NULL; m++) {
        if (strcmp(m->name, name) == 0) {
            lua_pushcfunction(L, m->func);
            return 1;
        }
    }
    return object_unknown(L, "session", name, fields);
}

const char *
session_object_name(size_t i)
{
    return i < FIELD_COUNT ? fields[i] : methods[i - FIELD_COUNT].name;
}

static int
newindex_session(lua_State *L)
{
    return luaL_error(L, "a session is read-only: keep \"%s\" in session.vars",
                      lua_tostring(L, 2));
}

static int
describe(lua_State *L)
{
    const struct session_object *o = object_check(L, 1, OBJECT_SESSION);

    (void)lua_pushfstring(L, "session: %s",
                          o->session != NULL ? o->session->id : "over");
    return 1;
}

static const luaL_Reg events[] = {
    {"__index", index_session},
    {"__newindex", newindex_session},
    {"__tostring", describe},
    {NULL, NULL},
};

void
session_object_push(lua_State *L, struct session *s)
{
    struct session_object *o = lua_newuserdata(L, sizeof *o);

    o->session = s;
    object_become(L, OBJECT_SESSION, events, NULL);
}

void
session_object_expire(lua_State *L, int index)
{
    struct session_object *o = object_test(L, index, OBJECT_SESSION);

    if (o != NULL)
        o->session = NULL;
    else
        credentials_object_expire(L, index);
}

/* --- snapshots --- */

static char *
copy_text(const char *text)
{
    return xstrndup(text, strlen(text));
}

struct session *
session_snapshot(const struct session *s)
{
    struct session *copy = xcalloc(1, sizeof *copy);

    copy->config = config_ref(s->config);
    copy->listener = s->listener;
    copy->client_addr = s->client_addr;
    copy->generation = s->generation;
    copy->attempts = s->attempts;
    memcpy(copy->id, s->id, sizeof copy->id);
    copy->record = s->record;
    copy->record.user = copy_text(s->record.user);
    copy->record.policy = copy_text(s->record.policy);
    copy->record.upstream = copy_text(s->record.upstream);
    copy->record.pool = copy_text(s->record.pool);
    copy->record.log = copy_text(s->record.log);
    copy->record.origin = copy_text(s->record.origin);
    if (copy->record.vars != NULL)
        copy->record.vars = vars_ref(copy->record.vars);
    return copy;
}

void
session_snapshot_free(struct session *s)
{
    free(s->record.user);
    free(s->record.policy);
    free(s->record.upstream);
    free(s->record.pool);
    free(s->record.log);
    free(s->record.origin);
    vars_unref(s->record.vars);
    config_unref(s->config);
    free(s);
}
