/* mod_sql.c -- `moongate.sql`: pool{...} gives a database whose row, rows and
 * execute(query, ...) ask PostgreSQL or SQLite. */
#include "base/slice.h"
#include "lua/await.h"
#include "lua/directory_object.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/sql_postgres.h"
#include "lua/sql_question.h"
#include "lua/sql_sqlite.h"
#include "lua/vm.h"

#include <stdio.h>
#include <string.h>

#define METATABLE      "moongate.sql"
#define WHAT           "sql.pool"
#define QUERY_MAX      ((size_t)64 << 10)
#define NAME_MAX_BYTES 200
#define URL_MAX        4096

/* --- the answer --- */

static void
push_value(lua_State *L, const struct sql_value *value)
{
    switch (value->type) {
    case SQL_NULL:
        lua_pushnil(L);
        return;
    case SQL_BOOLEAN:
        lua_pushboolean(L, value->number != 0);
        return;
    case SQL_NUMBER:
        lua_pushnumber(L, value->number);
        return;
    case SQL_TEXT:
        lua_pushlstring(L, value->text.ptr, value->text.len);
        return;
    }
}

static void
push_row(lua_State *L, const struct sql_rows *rows, const struct sql_row *row)
{
    lua_createtable(L, 0, (int)rows->columns);
    for (size_t i = 0; i < rows->columns; i++) {
        lua_pushlstring(L, rows->names[i].ptr, rows->names[i].len);
        push_value(L, &row->values[i]);
        lua_rawset(L, -3);
    }
}

static void
push_answer(lua_State *L, const struct sql_question *q)
{
    int number = 0;

    switch (q->what) {
    case SQL_ROW:
        if (q->rows.first != NULL)
            push_row(L, &q->rows, q->rows.first);
        else
            lua_pushnil(L);
        return;
    case SQL_ROWS:
        lua_createtable(L, (int)q->rows.count, 0);
        for (struct sql_row *row = q->rows.first; row != NULL;
             row = row->next) {
            push_row(L, &q->rows, row);
            lua_rawseti(L, -2, ++number);
        }
        return;
    case SQL_EXECUTE:
        lua_pushnumber(L, q->affected);
        return;
    }
}

/* What a spec answers is a list of rows, or a number. */
static void
fit_rehearsed(lua_State *L, enum sql_what what)
{
    if (what == SQL_ROW && lua_istable(L, -1)) {
        lua_rawgeti(L, -1, 1);
        lua_replace(L, -2);
    } else if (what == SQL_EXECUTE && !lua_isnumber(L, -1)) {
        lua_pop(L, 1);
        lua_pushinteger(L, 0);
    }
}

static void
push(lua_State *L, struct directory_question *base)
{
    const struct sql_question *q = sql_question_of(base);

    if (directory_push_rehearsed(L, base)) {
        fit_rehearsed(L, q->what);
        return;
    }
    push_answer(L, q);
    await_outcome(&base->ticket, "%zu rows", q->rows.count);
}

/* --- the question --- */

static bool
is_nul_free(struct slice text)
{
    return slice_find(text, '\0') == text.len;
}

/* Reads a parameter, whose text stays Lua's; false for what can't be one. */
static bool
read_value(lua_State *L, int index, struct sql_value *value)
{
    char digits[40];

    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return true;
    case LUA_TBOOLEAN:
        value->type = SQL_BOOLEAN;
        value->number = lua_toboolean(L, index);
        value->text = value->number != 0 ? S("t") : S("f");
        return true;
    case LUA_TNUMBER: /* %.14g would lose digits */
        value->type = SQL_NUMBER;
        value->number = lua_tonumber(L, index);
        (void)snprintf(digits, sizeof digits, "%.17g", value->number);
        lua_pushstring(L, digits);
        lua_replace(L, index);
        return secret_or_string(L, index, &value->text);
    default:
        value->type = SQL_TEXT;
        return secret_or_string(L, index, &value->text);
    }
}

/* Reads the parameters from `first` on. */
static void
read_values(lua_State *L, int first, struct sql_statement *s)
{
    int count = lua_gettop(L) - first + 1;

    if (count > SQL_PARAMETERS_MAX)
        (void)luaL_argerror(L, first, "at most 32 parameters");
    s->count = (size_t)count;
    for (size_t i = 0; i < s->count; i++) {
        int index = first + (int)i;
        s->secret = s->secret || lua_isuserdata(L, index);
        if (!read_value(L, index, &s->parameters[i]))
            (void)luaL_argerror(
                L, index,
                "a string, number, boolean, Secret or nil is expected");
        s->texts_size += s->parameters[i].text.len + 1;
    }
    if (s->texts_size > DIRECTORY_BYTES_MAX)
        (void)luaL_argerror(L, first, "more than 1 MiB of parameters");
}

static bool
are_nul_free(const struct sql_statement *s)
{
    bool clean = true;

    for (size_t i = 0; i < s->count; i++)
        clean = clean && is_nul_free(s->parameters[i].text);
    return clean;
}

/* A copy with texts of its own. */
static struct sql_statement *
statement_new(const struct sql_statement *read, struct slice query)
{
    struct sql_statement *s = xcalloc(1, sizeof *s);
    char *at = xmalloc(read->texts_size + 1);

    *s = *read;
    s->texts = at;
    s->query = xstrndup(query.ptr, query.len);
    for (size_t i = 0; i < s->count; i++) {
        struct slice *text = &s->parameters[i].text;
        if (s->parameters[i].type == SQL_NULL)
            continue;
        memcpy(at, text->ptr, text->len);
        at[text->len] = '\0';
        text->ptr = at;
        at += text->len + 1;
    }
    return s;
}

static int
ask(lua_State *L, enum sql_what what)
{
    static const char *const words[] = {"row", "rows", "execute"};
    struct directory_client *self = directory_self(L, METATABLE);
    struct sql_statement read = {0};
    struct slice query;

    query.ptr = luaL_checklstring(L, 2, &query.len);
    if (query.len == 0 || query.len > QUERY_MAX || !is_nul_free(query))
        return luaL_argerror(L, 2, "1 byte to 64 KiB of SQL expected");
    read_values(L, 3, &read);
    (void)host_or_raise(L);
    int known =
        await_known(L, "sql %s %.*s", words[what], NAME_MAX_BYTES, query.ptr);
    if (known >= 0)
        return known;
    if (!are_nul_free(&read))
        return failure_push(L, FAILURE_PROTOCOL,
                            "sql: a parameter has a NUL, which no text has");
    struct sql_question *q = xcalloc(1, sizeof *q);
    q->what = what;
    q->statement = statement_new(&read, query);
    sql_rows_init(&q->rows);
    return directory_await(L, self, &q->base, push);
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

static struct slice
read_password(const struct options *o)
{
    struct slice password = {"", 0};

    (void)option_bytes(o, "password", &password); /* stays on the stack */
    if (!is_nul_free(password) || password.len > 1024)
        (void)luaL_error(o->L, WHAT ": password: not a password");
    return password;
}

/* The message on failure, or NULL. */
static const char *
describe(const struct options *o, const char *url, struct slice password,
         struct directory *like)
{
    bool write = option_bool(o, "write", false);

    if (strncmp(url, "sqlite:", 7) == 0)
        return password.len > 0 ? "a file has no password"
                                : sql_sqlite_describe(url + 7, write, like);
    if (strncmp(url, "postgres://", 11) != 0 &&
        strncmp(url, "postgresql://", 13) != 0)
        return "not postgres://user@host[:port]/database or sqlite:/path";
    if (write)
        return "`write` is for sqlite; here the user's grants decide";
    return sql_postgres_describe(url, password, like);
}

static void
read_options(lua_State *L, struct directory_client *client)
{
    static const char *const names[] = {
        "url",     "password",    "timeout", "size", "tls", "write",
        "profile", "server_name", "verify",  "pin",  NULL};
    struct options o = options_check(L, 1, WHAT, names);
    struct directory *like = directory_push_half_made(L);
    struct slice url;

    if (!option_push(&o, "url") || lua_type(L, -1) != LUA_TSTRING)
        (void)luaL_error(L, WHAT ": url: a string is expected");
    url.ptr = lua_tolstring(L, -1, &url.len);
    if (!is_nul_free(url) || url.len > URL_MAX)
        (void)luaL_error(L, WHAT ": url: not a URL");
    struct slice password = read_password(&o);
    const char *problem = describe(&o, url.ptr, password, like);
    if (problem != NULL)
        (void)luaL_error(L, WHAT ": url: %s", problem);
    directory_options(&o, client, &like->size);
    like->tls = option_bool(&o, "tls", true) && like->host[0] != '/';
    if (like->tls)
        auth_tls_require(L, &client->tls, WHAT);
    if (option_bool(&o, "write", false))
        url.ptr = lua_pushfstring(L, "%s\nwrite", url.ptr);
    directory_find(client, vm_of(L)->host->lasting, like, slice_of(url.ptr),
                   password);
    *like = (struct directory){0};
}

static int
new_pool(lua_State *L)
{
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    read_options(L, directory_push(L, METATABLE));
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

    sql_postgres_init();
    sql_sqlite_init();
    directory_class(L, METATABLE, methods);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
