#include "lua/trace_answer.h"

#include "base/slice.h"
#include "lua/call.h"
#include "lua/decision.h"
#include "lua/failure.h"
#include "lua/objects.h"
#include "lua/secret.h"
#include "lua/trace_event.h"
#include "proto/redact.h"

#include <stdlib.h>

#define ANSWER_MAX ((size_t)8 << 10)
#define DEPTH_MAX  8

#define RESPONSE "moongate.http.response"
#define FAILURE  "moongate.failure"

static bool put_value(struct json_writer *w, const struct call *c, lua_State *L,
                      const char *name, int depth);

static bool
is_a(lua_State *L, const char *metatable)
{
    if (lua_getmetatable(L, -1) == 0)
        return false;
    luaL_getmetatable(L, metatable);
    bool same = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    return same;
}

static void
put_string(struct json_writer *w, const struct call *c, lua_State *L,
           const char *name)
{
    struct slice text;

    text.ptr = lua_tolstring(L, -1, &text.len);
    if (redact_holds(text, c->redact[0]) || redact_holds(text, c->redact[1]))
        text = S("***");
    json_whole(w, name, text);
}

/* The members of the table on the top that have names. */
static bool
put_members(struct json_writer *w, const struct call *c, lua_State *L,
            const char *name, int depth)
{
    bool fine = lua_checkstack(L, 8) != 0 && depth > 0;

    json_begin(w, name, '{');
    lua_pushnil(L);
    while (fine && lua_next(L, -2) != 0) {
        fine = lua_type(L, -2) == LUA_TSTRING &&
               json_is_word(lua_tostring(L, -2)) &&
               put_value(w, c, L, lua_tostring(L, -2), depth - 1);
        lua_pop(L, 1);
    }
    if (!fine)
        lua_settop(L, -2); /* the key that was not gone on from */
    json_end(w, '}');
    return fine;
}

static bool
put_list(struct json_writer *w, const struct call *c, lua_State *L, int depth)
{
    bool fine = lua_checkstack(L, 8) != 0 && depth > 0;

    json_begin(w, "list", '[');
    for (int i = 1; fine && i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        fine = put_value(w, c, L, NULL, depth - 1);
        lua_pop(L, 1);
    }
    json_end(w, ']');
    return fine;
}

static bool
put_table(struct json_writer *w, const struct call *c, lua_State *L, int depth)
{
    if (is_a(L, RESPONSE))
        return put_members(w, c, L, "http", depth);
    if (is_a(L, FAILURE)) {
        lua_getfield(L, -1, "kind");
        put_string(w, c, L, "failure");
        lua_getfield(L, -2, "message");
        put_string(w, c, L, "message");
        lua_pop(L, 2);
        return true;
    }
    if (lua_objlen(L, -1) > 0)
        return put_list(w, c, L, depth);
    return put_members(w, c, L, "map", depth);
}

/* A decision or a secret. */
static bool
put_object(struct json_writer *w, const struct call *c, lua_State *L, int depth)
{
    const struct decision *d = decision_test(L, lua_gettop(L));
    struct slice bytes;

    if (d != NULL) {
        json_text(w, "decision", slice_of(decision_name(d->kind)));
        decision_push_options(L, lua_gettop(L));
        bool fine = put_members(w, c, L, "options", depth);
        lua_pop(L, 1);
        return fine;
    }
    if (!secret_or_string(L, lua_gettop(L), &bytes))
        return false;
    trace_put_secret(w, "secret", bytes);
    return true;
}

static bool
put_value(struct json_writer *w, const struct call *c, lua_State *L,
          const char *name, int depth)
{
    bool fine;

    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        json_null(w, name);
        return true;
    case LUA_TBOOLEAN:
        json_flag(w, name, lua_toboolean(L, -1) != 0);
        return true;
    case LUA_TNUMBER:
        json_number(w, name, lua_tonumber(L, -1));
        return true;
    case LUA_TSTRING:
        put_string(w, c, L, name);
        return true;
    case LUA_TTABLE:
    case LUA_TUSERDATA:
        json_begin(w, name, '{');
        fine = lua_istable(L, -1) ? put_table(w, c, L, depth)
                                  : put_object(w, c, L, depth);
        json_end(w, '}');
        return fine;
    default:
        return false;
    }
}

void
trace_answer_put(struct json_writer *w, const struct call *c, lua_State *L,
                 int count)
{
    struct buf text;
    bool fine = lua_checkstack(L, 8) != 0;
    int first = lua_gettop(L) - count + 1;

    buf_init(&text, ANSWER_MAX);
    struct json_writer answer = {.out = &text};
    json_begin(&answer, NULL, '[');
    for (int i = 0; fine && i < count; i++) {
        lua_pushvalue(L, first + i);
        fine = put_value(&answer, c, L, NULL, DEPTH_MAX);
        lua_pop(L, 1);
    }
    json_end(&answer, ']');
    if (fine && !answer.full)
        json_raw(w, "answer", buf_bytes(&text));
    buf_deinit(&text);
}

/* --- and back --- */

static void push_value(lua_State *L, int depth);

static const struct {
    const char *name;
    lua_CFunction make;
} constructors[] = {
    {"accept", decision_accept},
    {"reject", decision_reject},
    {"tempfail", decision_tempfail},
    {"wait", decision_wait},
    {"to", decision_to},
    {"retry", decision_retry},
    {"login", decision_login},
};

static void
push_decision(lua_State *L, int value, int depth)
{
    const char *kind;

    lua_getfield(L, value, "decision");
    kind = luaL_checkstring(L, -1);
    for (size_t i = 0; i < sizeof constructors / sizeof *constructors; i++) {
        if (strcmp(constructors[i].name, kind) != 0)
            continue;
        lua_pushcfunction(L, constructors[i].make);
        lua_getfield(L, value, "options");
        push_value(L, depth); /* in place of the options */
        lua_call(L, 1, 1);
        lua_replace(L, -2);
        return;
    }
    luaL_error(L, "a recording has the unknown decision \"%s\"", kind);
}

static void
push_failure(lua_State *L, int value)
{
    const char *kind, *message;

    lua_getfield(L, value, "failure");
    lua_getfield(L, value, "message");
    kind = luaL_checkstring(L, -2);
    message = luaL_checkstring(L, -1);
    int what = FAILURE_TIMEOUT;
    while (what < FAILURE_CANCELLED &&
           strcmp(failure_name((enum failure)what), kind) != 0)
        what++;
    failure_push_object(L, (enum failure)what, message);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* A copy of the table on the top with its values pushed; replaces it. */
static void
push_copy(lua_State *L, int depth)
{
    int from = lua_gettop(L);

    luaL_checktype(L, from, LUA_TTABLE);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, from) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        push_value(L, depth);
        lua_rawset(L, from + 1);
    }
    lua_replace(L, from);
}

static bool
has(lua_State *L, int value, const char *name)
{
    lua_getfield(L, value, name);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void
push_object(lua_State *L, int value, int depth)
{
    struct slice token;

    if (has(L, value, "secret")) {
        token.ptr = luaL_checklstring(L, -1, &token.len);
        secret_push(L, token);
        lua_replace(L, -2);
    } else if (has(L, value, "decision")) {
        lua_pop(L, 1);
        push_decision(L, value, depth);
    } else if (has(L, value, "failure")) {
        lua_pop(L, 1);
        push_failure(L, value);
    } else if (has(L, value, "http")) {
        push_copy(L, depth);
        luaL_getmetatable(L, RESPONSE);
        lua_setmetatable(L, -2);
    } else if (has(L, value, "list") || has(L, value, "map")) {
        push_copy(L, depth);
    } else {
        lua_pushvalue(L, value); /* the options of a decision */
        push_copy(L, depth);
    }
}

/* Replaces the decoded value on the top. */
static void
push_value(lua_State *L, int depth)
{
    luaL_checkstack(L, 12, "a recording is nested too deep");
    if (depth == 0)
        luaL_error(L, "a recording is nested too deep");
    if (lua_islightuserdata(L, -1)) { /* null */
        lua_pop(L, 1);
        lua_pushnil(L);
    } else if (lua_istable(L, -1)) {
        push_object(L, lua_gettop(L), depth - 1);
        lua_replace(L, -2);
    }
}

int
trace_answer_push(lua_State *L, int index)
{
    int count = (int)lua_objlen(L, index);

    luaL_checkstack(L, count + 12, "a recording");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        push_value(L, 2 * DEPTH_MAX);
    }
    return count;
}
