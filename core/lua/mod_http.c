/* mod_http.c -- `moongate.http`: get, post, request(url, opts) and escape. */
#include "base/slice.h"
#include "lua/await.h"
#include "lua/http_client.h"
#include "lua/http_options.h"
#include "lua/json.h"
#include "lua/lasting.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/secret.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define QUERY    "moongate.http.query"
#define RESPONSE "moongate.http.response"

struct http_op {
    struct ticket ticket;
    struct http_exchange *exchange;
};

/* --- the answer --- */

static struct slice
trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_drop(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' ||
                         s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* Pushes the name in lower case. */
static void
push_name(lua_State *L, struct slice name)
{
    luaL_Buffer out;

    luaL_buffinit(L, &out);
    for (size_t i = 0; i < name.len; i++)
        luaL_addchar(&out, ascii_lower(name.ptr[i]));
    luaL_pushresult(&out);
}

/* Pushes { ["content-type"] = "..." }; repeated fields are joined by ", ". */
static void
push_headers(lua_State *L, struct slice head)
{
    lua_newtable(L);
    while (head.len > 0) {
        struct slice value = slice_cut(&head, '\n');
        struct slice name = slice_cut(&value, ':');
        if (name.len == 0 || value.ptr == NULL || name.ptr[0] == '\r')
            continue;
        value = trim(value);
        push_name(L, name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        bool again = lua_isstring(L, -1) != 0;
        if (again)
            lua_pushliteral(L, ", ");
        else
            lua_pop(L, 1);
        lua_pushlstring(L, value.ptr, value.len);
        if (again)
            lua_concat(L, 3);
        lua_rawset(L, -3);
    }
}

static int
response_json(lua_State *L)
{
    struct slice text;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "body");
    text.ptr = luaL_checklstring(L, -1, &text.len);
    return json_decode(L, text, false);
}

static int
push_result(lua_State *L, const struct http_result *result)
{
    if (!result->ok)
        return failure_push(L, result->kind, "http: %s", result->text);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)result->status);
    lua_setfield(L, -2, "status");
    push_headers(L, result->head);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, result->body.ptr, result->body.len);
    lua_setfield(L, -2, "body");
    luaL_getmetatable(L, RESPONSE);
    lua_setmetatable(L, -2);
    return 1;
}

static void
on_done(void *arg, const struct http_result *result)
{
    struct http_op *op = arg;
    struct ticket ticket = op->ticket;
    lua_State *L = await_done(&ticket);
    int results = 0;

    free(op);
    if (L == NULL)
        return;
    results = push_result(L, result);
    if (result->ok)
        await_outcome(&ticket, "%u", result->status);
    else
        await_outcome(&ticket, "%s", result->text);
    await_resume(&ticket, results);
}

static void
http_cancel(void *arg)
{
    struct http_op *op = arg;

    http_exchange_cancel(op->exchange);
    free(op);
}

/* --- the question --- */

static int
query_gc(lua_State *L)
{
    http_query_deinit(lua_touserdata(L, 1));
    return 0;
}

static bool
get_part(const struct http_query *q, CURLUPart part, char *out, size_t size)
{
    char *text = NULL;
    bool given = curl_url_get(q->url, part, &text, 0) == CURLUE_OK;

    (void)snprintf(out, size, "%s", given ? text : "");
    curl_free(text);
    return given;
}

/* Neither a password in the URL nor its query is told. */
static int
look_up(lua_State *L, const struct http_query *q)
{
    char scheme[16], host[256], port[8], path[256];

    (void)get_part(q, CURLUPART_SCHEME, scheme, sizeof scheme);
    (void)get_part(q, CURLUPART_HOST, host, sizeof host);
    bool has_port = get_part(q, CURLUPART_PORT, port, sizeof port);
    (void)get_part(q, CURLUPART_PATH, path, sizeof path);
    return await_known(L, "http %s %s://%s%s%s%s", q->method, scheme, host,
                       has_port ? ":" : "", port, path);
}

static int
http_request(lua_State *L)
{
    struct http_client *client = lasting_http(host_or_raise(L)->lasting);

    lua_settop(L, 2);
    /* Reading options may raise: the half-made query is collected then. */
    struct http_query *query = lua_newuserdata(L, sizeof(*query));
    http_query_init(query);
    luaL_getmetatable(L, QUERY);
    lua_setmetatable(L, -2);
    http_options_read(L, 1, query);

    int known = await_is_followed(L) ? look_up(L, query) : -1;
    if (known >= 0)
        return known;
    struct http_op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "out of memory");
    op->exchange = http_exchange_start(client, query, on_done, op);
    return await(L, http_cancel, op, &op->ticket);
}

/* http.get and http.post: the method is the closure's. */
static int
http_method(lua_State *L)
{
    lua_settop(L, 2);
    lua_newtable(L);
    if (lua_istable(L, 2)) {
        options_thaw(L, 2);
        lua_pushnil(L);
        while (lua_next(L, 2) != 0) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, 3);
        }
    } else if (!lua_isnil(L, 2)) {
        return luaL_argerror(L, 2, "a table of options expected");
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setfield(L, 3, "method");
    lua_replace(L, 2);
    return http_request(L);
}

static int
escape(lua_State *L)
{
    struct slice bytes;
    struct buf out;

    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    if (bytes.len > 1 << 20)
        return luaL_argerror(L, 1, "longer than 1 MiB");
    buf_init(&out, 3 * bytes.len + 1);
    if (http_escape(&out, bytes))
        lua_pushlstring(L, buf_bytes(&out).ptr, buf_len(&out));
    buf_deinit(&out);
    return 1;
}

static void
set_gc(lua_State *L, const char *metatable, lua_CFunction gc)
{
    (void)luaL_newmetatable(L, metatable);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static void
add_method(lua_State *L, const char *name, const char *method)
{
    lua_pushstring(L, method);
    lua_pushcclosure(L, http_method, 1);
    lua_setfield(L, -2, name);
}

int
mod_http_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"request", http_request}, {"escape", escape}, {NULL, NULL}};

    http_global_init();
    set_gc(L, QUERY, query_gc);
    if (luaL_newmetatable(L, RESPONSE) != 0) {
        lua_newtable(L);
        lua_pushcfunction(L, response_json);
        lua_setfield(L, -2, "json");
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    add_method(L, "get", "GET");
    add_method(L, "post", "POST");
    return 1;
}
