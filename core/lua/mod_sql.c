/* mod_sql.c -- `moongate.sql`: pool{...} gives a database whose row, rows and
 * execute(query, ...) ask PostgreSQL. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/generation.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/spec_world.h"
#include "lua/sql_connection.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define METATABLE      "moongate.sql"
#define QUERY_MAX      ((size_t)64 << 10)
#define NAME_MAX_BYTES 200
#define PORT_DEFAULT   5432
#define EXACT_MAX      9007199254740992. /* 2^53 */

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };
enum { OID_OID = 26, OID_FLOAT4 = 700, OID_FLOAT8 = 701 };

struct sql_op {
    struct ticket ticket;
    struct sql_question *question;
};

/* The userdata. */
struct sql_pool {
    struct directory_client *client;
};

/* --- the answer --- */

/* A number, if Lua's can hold it. */
static void
push_number(lua_State *L, const char *text, size_t len)
{
    double number = strtod(text, NULL);

    if (number > EXACT_MAX || number < -EXACT_MAX)
        lua_pushlstring(L, text, len);
    else
        lua_pushnumber(L, number);
}

static void
push_value(lua_State *L, const PGresult *r, int column)
{
    const char *text = PQgetvalue(r, 0, column);
    size_t len = (size_t)PQgetlength(r, 0, column);

    if (PQgetisnull(r, 0, column) != 0) {
        lua_pushnil(L);
        return;
    }
    switch (PQftype(r, column)) {
    case OID_BOOL:
        lua_pushboolean(L, *text == 't');
        return;
    case OID_FLOAT4:
    case OID_FLOAT8:
        lua_pushnumber(L, strtod(text, NULL));
        return;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
        push_number(L, text, len);
        return;
    default:
        lua_pushlstring(L, text, len);
    }
}

static void
push_row(lua_State *L, const PGresult *r)
{
    int columns = PQnfields(r);

    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        push_value(L, r, i);
        lua_setfield(L, -2, PQfname(r, i));
    }
}

static void
push_answer(lua_State *L, const struct sql_question *q)
{
    switch (q->what) {
    case SQL_ROW:
        if (q->row_count > 0)
            push_row(L, q->rows[0]);
        else
            lua_pushnil(L);
        return;
    case SQL_ROWS:
        lua_createtable(L, (int)q->row_count, 0);
        for (size_t i = 0; i < q->row_count; i++) {
            push_row(L, q->rows[i]);
            lua_rawseti(L, -2, (int)i + 1);
        }
        return;
    case SQL_EXECUTE:
        lua_pushnumber(L, q->affected);
        return;
    }
}

/* What a spec answers is a list of rows, or a number. */
static void
push_rehearsed(lua_State *L, struct sql_question *q)
{
    spec_world_push(q->base.client->directory->lasting->loop, &q->base, L);
    bool list = lua_istable(L, -1);
    if (q->what == SQL_ROW && list) {
        lua_rawgeti(L, -1, 1);
        lua_replace(L, -2);
    } else if (q->what == SQL_EXECUTE && !lua_isnumber(L, -1)) {
        lua_pop(L, 1);
        lua_pushinteger(L, 0);
    }
}

static void
on_done(struct directory_question *base)
{
    struct sql_question *q = container_of(base, struct sql_question, base);
    struct sql_op *op = q->arg;
    struct ticket ticket = op->ticket;
    lua_State *L = await_done(&ticket);
    int results = 1;

    free(op);
    if (L == NULL) {
        sql_question_free(q);
        return;
    }
    if (base->failed) {
        results = failure_push(L, base->kind, "sql: %s", base->text);
        await_outcome(&ticket, "%s", base->text);
    } else if (base->rehearsed != LUA_NOREF) {
        push_rehearsed(L, q);
        await_outcome(&ticket, "answered");
    } else {
        push_answer(L, q);
        await_outcome(&ticket, "%zu rows", q->row_count);
    }
    sql_question_free(q);
    await_resume(&ticket, results);
}

static void
on_cancel(void *arg)
{
    struct sql_op *op = arg;

    directory_cancel(&op->question->base);
    sql_question_free(op->question);
    free(op);
}

/* --- the question --- */

static bool
is_nul_free(struct slice text)
{
    return slice_find(text, '\0') == text.len;
}

/* How a parameter is written; false for what can't be one. */
static bool
text_of(lua_State *L, int index, struct slice *text)
{
    if (lua_isboolean(L, index)) {
        *text = lua_toboolean(L, index) != 0 ? S("t") : S("f");
        return true;
    }
    if (lua_type(L, index) == LUA_TNUMBER) { /* %.14g would lose digits */
        char digits[40];
        int len =
            snprintf(digits, sizeof digits, "%.17g", lua_tonumber(L, index));
        lua_pushlstring(L, digits, (size_t)len);
        lua_replace(L, index);
    }
    return secret_or_string(L, index, text);
}

/* Checks the parameters from `first` on; how many bytes they need. */
static size_t
measure(lua_State *L, int first, bool *holds_nul)
{
    size_t size = 0;
    struct slice text;

    for (int i = first; i <= lua_gettop(L); i++) {
        if (lua_isnil(L, i))
            continue;
        if (!text_of(L, i, &text))
            (void)luaL_argerror(
                L, i, "a string, number, boolean, Secret or nil is expected");
        *holds_nul = *holds_nul || !is_nul_free(text);
        size += text.len + 1;
    }
    if (size > DIRECTORY_BYTES_MAX)
        (void)luaL_argerror(L, first, "more than 1 MiB of parameters");
    return size;
}

/* Copies what measure() has looked at. */
static void
fill(lua_State *L, int first, struct sql_question *q, size_t size)
{
    char *at = q->texts = xmalloc(size + 1);

    q->texts_size = size + 1;
    for (int i = first; i <= lua_gettop(L); i++) {
        struct slice text;
        if (lua_isnil(L, i)) {
            q->count++;
            continue;
        }
        bool fine = text_of(L, i, &text);
        require(fine);
        q->secret = q->secret || lua_isuserdata(L, i);
        q->parameters[q->count++] = at;
        memcpy(at, text.ptr, text.len);
        at[text.len] = '\0';
        at += text.len + 1;
    }
}

static struct sql_pool *
check_self(lua_State *L)
{
    return luaL_checkudata(L, 1, METATABLE);
}

static struct sql_question *
question_new(lua_State *L, enum sql_what what, struct slice query, size_t size)
{
    struct sql_question *q = xcalloc(1, sizeof *q);

    q->what = what;
    q->query = xstrndup(query.ptr, query.len);
    fill(L, 3, q, size);
    return q;
}

static int
ask(lua_State *L, enum sql_what what)
{
    static const char *const words[] = {"row", "rows", "execute"};
    struct sql_pool *self = check_self(L);
    struct slice query;
    bool holds_nul = false;

    query.ptr = luaL_checklstring(L, 2, &query.len);
    if (query.len == 0 || query.len > QUERY_MAX || !is_nul_free(query))
        return luaL_argerror(L, 2, "1 byte to 64 KiB of SQL expected");
    if (lua_gettop(L) - 2 > SQL_PARAMETERS_MAX)
        return luaL_argerror(L, 3, "at most 32 parameters");
    size_t size = measure(L, 3, &holds_nul);
    (void)host_or_raise(L);
    int known =
        await_known(L, "sql %s %.*s", words[what], NAME_MAX_BYTES, query.ptr);
    if (known >= 0)
        return known;
    if (holds_nul)
        return failure_push(L, FAILURE_PROTOCOL,
                            "sql: a parameter has a NUL, which no text has");
    struct sql_op *op = xcalloc(1, sizeof(*op));
    op->question = question_new(L, what, query, size);
    op->question->arg = op;
    directory_ask(&op->question->base, self->client,
                  time_within(L, self->client->timeout), on_done);
    return await(L, on_cancel, op, &op->ticket);
}

static int
sql_row(lua_State *L)
{
    return ask(L, SQL_ROW);
}

static int
sql_rows(lua_State *L)
{
    return ask(L, SQL_ROWS);
}

static int
sql_execute(lua_State *L)
{
    return ask(L, SQL_EXECUTE);
}

/* --- the pool --- */

/* Takes `value` for the keyword; false for one that has no place in a url. */
static bool
take_option(const char *keyword, const char *value, struct directory *like)
{
    struct sql_settings *s = like->settings;
    char **text = strcmp(keyword, "host") == 0     ? &like->host
                  : strcmp(keyword, "user") == 0   ? &s->user
                  : strcmp(keyword, "dbname") == 0 ? &s->database
                                                   : NULL;

    if (text != NULL) {
        *text = xstrndup(value, strlen(value));
        return strchr(value, ',') == NULL;
    }
    if (strcmp(keyword, "port") != 0)
        return false;
    size_t port = slice_to_size(slice_of(value));
    like->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

/* libpq parses its own URLs.  The message on failure, or NULL. */
static const char *
read_url(const char *url, struct directory *like)
{
    const struct sql_settings *s = like->settings;
    PQconninfoOption *parsed = strncmp(url, "postgres://", 11) == 0 ||
                                       strncmp(url, "postgresql://", 13) == 0
                                   ? PQconninfoParse(url, NULL)
                                   : NULL;
    const char *problem =
        parsed == NULL ? "not postgres://user@host[:port]/database" : NULL;

    for (PQconninfoOption *o = parsed; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && *o->val != '\0' &&
            !take_option(o->keyword, o->val, like))
            problem = "user, host, port and database alone may be in it; "
                      "`password` and TLS are options of their own";
        if (o->val != NULL && strcmp(o->keyword, "password") == 0)
            explicit_bzero(o->val, strlen(o->val));
    }
    PQconninfoFree(parsed);
    if (problem == NULL && (like->host == NULL || s->user == NULL))
        problem = "not postgres://user@host[:port]/database";
    return problem;
}

static void
read_password(const struct options *o, struct sql_settings *s)
{
    struct slice password = {"", 0};

    (void)option_bytes(o, "password", &password);
    if (!is_nul_free(password) || password.len > 1024)
        (void)luaL_error(o->L, "%s: password: not a password", o->what);
    free(s->password);
    s->password = xstrndup(password.ptr, password.len);
    lua_pop(o->L, 1);
}

static int
half_made_gc(lua_State *L)
{
    struct directory *like = lua_touserdata(L, 1);

    if (like->settings != NULL)
        sql_postgres.settings_free(like->settings);
    free(like->host);
    *like = (struct directory){0};
    return 0;
}

/* Collected if reading the options raises. */
static struct directory *
push_half_made(lua_State *L)
{
    struct directory *like = lua_newuserdata(L, sizeof *like);
    struct sql_settings *s = xcalloc(1, sizeof *s);

    s->password = xstrndup("", 0);
    *like = (struct directory){
        .kind = &sql_postgres, .settings = s, .port = PORT_DEFAULT};
    if (luaL_newmetatable(L, METATABLE ".half_made") != 0) {
        lua_pushcfunction(L, half_made_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return like;
}

static void
read_options(lua_State *L, struct directory_client *client)
{
    static const char *const names[] = {
        "url",     "password",    "timeout", "size", "tls",
        "profile", "server_name", "verify",  "pin",  NULL};
    struct options o = options_check(L, 1, "sql.pool", names);
    struct directory *like = push_half_made(L);
    struct sql_settings *s = like->settings;

    if (!option_push(&o, "url") || lua_type(L, -1) != LUA_TSTRING)
        (void)luaL_error(L, "sql.pool: url: a string is expected");
    const char *url = lua_tostring(L, -1), *problem = read_url(url, like);
    if (problem != NULL)
        (void)luaL_error(L, "sql.pool: url: %s", problem);
    if (s->database == NULL)
        s->database = xstrndup(s->user, strlen(s->user));
    read_password(&o, s);
    directory_options(&o, client, &like->size);
    like->tls = option_bool(&o, "tls", true) && like->host[0] != '/';
    if (like->tls)
        auth_tls_require(L, &client->tls, "sql.pool");
    directory_find(client, vm_of(L)->host->lasting, like, slice_of(url),
                   slice_of(s->password));
    *like = (struct directory){0};
}

static int
pool_gc(lua_State *L)
{
    struct sql_pool *self = check_self(L);

    directory_client_unref(self->client);
    self->client = NULL;
    return 0;
}

static int
new_pool(lua_State *L)
{
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    struct sql_pool *self = lua_newuserdata(L, sizeof *self);
    self->client = NULL;
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    self->client = directory_client_new();
    if (vm_of(L)->generation != NULL)
        self->client->tls.config = vm_of(L)->generation->config;
    read_options(L, self->client);
    lua_settop(L, 2);
    return 1;
}

int
mod_sql_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pool", new_pool}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"row", sql_row},
                                       {"rows", sql_rows},
                                       {"execute", sql_execute},
                                       {NULL, NULL}};

    sql_global_init();
    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, pool_gc);
        lua_setfield(L, -2, "__gc");
        lua_newtable(L);
        luaL_register(L, NULL, methods);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
