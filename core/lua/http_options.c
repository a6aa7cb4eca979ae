#include "lua/http_options.h"

#include "base/base64.h"
#include "base/slice.h"
#include "lua/json.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "proto/dialog.h"

#include <lauxlib.h>

#define WHAT           "http"
#define BASIC_AUTH_MAX 4096

static bool
is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

bool
http_escape(struct buf *out, struct slice bytes)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        struct slice piece = {code, 3};
        if (is_unreserved((char)c))
            piece = (struct slice){&bytes.ptr[i], 1};
        if (!buf_append(out, piece))
            return false;
    }
    return true;
}

static void
read_url(lua_State *L, int index, struct http_query *q)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    char *scheme = NULL, *user = NULL;

    q->url = curl_url();
    if (q->url == NULL)
        (void)luaL_error(L, "out of memory");
    bool ok = strlen(text) == len &&
              curl_url_set(q->url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(q->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    bool has_user =
        ok && curl_url_get(q->url, CURLUPART_USER, &user, 0) == CURLUE_OK;
    curl_free(scheme);
    curl_free(user);
    if (!ok)
        (void)luaL_argerror(L, index, "an http:// or https:// URL expected");
    if (has_user)
        (void)luaL_argerror(L, index, "use basic_auth, not user@host");
}

static bool
is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_unreserved(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static void
read_method(const struct options *o, struct http_query *q,
            const char *otherwise)
{
    struct slice method = slice_of(otherwise);

    if (option_push(o, "method") && lua_type(o->L, -1) == LUA_TSTRING)
        method.ptr = lua_tolstring(o->L, -1, &method.len);
    if (!is_token(method) || method.len >= sizeof(q->method))
        (void)luaL_error(o->L, WHAT ": method: not a method");
    memcpy(q->method, method.ptr, method.len);
    q->method[method.len] = '\0';
    q->has_body = q->has_body || strcmp(q->method, "POST") == 0 ||
                  strcmp(q->method, "PUT") == 0;
    lua_pop(o->L, 1);
}

static void
add_header(lua_State *L, struct http_query *q, struct slice name,
           struct slice value)
{
    if (!is_token(name) || has_control(value))
        (void)luaL_error(L, WHAT ": headers: a name and one line of text");
    if (!http_query_header(q, name, value))
        (void)luaL_error(L, "out of memory");
}

static void
read_headers(const struct options *o, struct http_query *q)
{
    lua_State *L = o->L;
    int table = lua_gettop(L) + 1;

    add_header(L, q, S("Expect"), S(""));
    if (option_push(o, "headers")) {
        luaL_checktype(L, table, LUA_TTABLE);
        options_thaw(L, table);
        lua_pushnil(L);
        while (lua_next(L, table) != 0) {
            struct slice name = {"", 0}, value = {"", 0};
            if (lua_type(L, -2) == LUA_TSTRING)
                name.ptr = lua_tolstring(L, -2, &name.len);
            if (lua_type(L, -1) == LUA_TNUMBER)
                (void)lua_tostring(L, -1);
            if (!secret_or_string(L, -1, &value))
                (void)luaL_error(L, WHAT ": headers: %s: text or a Secret",
                                 name.ptr);
            add_header(L, q, name, value);
            lua_pop(L, 1);
        }
    }
    lua_settop(L, table - 1);
}

static void
read_basic_auth(const struct options *o, struct http_query *q)
{
    struct slice pair;
    char text[BASIC_AUTH_MAX / 3 * 4 + 16] = "Basic ";

    if (option_bytes(o, "basic_auth", &pair)) {
        if (pair.len > BASIC_AUTH_MAX || slice_find(pair, ':') == pair.len)
            (void)luaL_error(o->L, WHAT ": basic_auth: \"id:secret\"");
        base64_encode(pair, text + 6);
        bool ok = http_query_header(
            q, S("Authorization"),
            (struct slice){text, 6 + base64_encoded_len(pair.len)});
        explicit_bzero(text, sizeof(text));
        if (!ok)
            (void)luaL_error(o->L, "out of memory");
    }
    lua_pop(o->L, 1);
}

static void
put_body(lua_State *L, struct http_query *q, bool ok)
{
    if (!ok)
        (void)luaL_error(L, WHAT ": the body is longer than 8 MiB");
    q->has_body = true;
}

/* Appends the pair at -2 and -1 to a form. */
static void
put_pair(lua_State *L, struct http_query *q)
{
    struct slice name, value = {"", 0};

    if (lua_type(L, -1) == LUA_TNUMBER || lua_type(L, -1) == LUA_TBOOLEAN) {
        lua_pushstring(L, lua_isboolean(L, -1)
                              ? (lua_toboolean(L, -1) ? "true" : "false")
                              : lua_tostring(L, -1));
        lua_replace(L, -2);
    }
    if (lua_type(L, -2) != LUA_TSTRING || !secret_or_string(L, -1, &value))
        (void)luaL_error(L, WHAT ": form: names, and text or Secrets");
    name.ptr = lua_tolstring(L, -2, &name.len);
    bool ok = (buf_is_empty(&q->body) || buf_append(&q->body, S("&"))) &&
              http_escape(&q->body, name) && buf_append(&q->body, S("=")) &&
              http_escape(&q->body, value);
    put_body(L, q, ok);
}

static void
read_form(const struct options *o, struct http_query *q)
{
    lua_State *L = o->L;
    int table = lua_gettop(L) + 1;

    if (option_push(o, "form")) {
        luaL_checktype(L, table, LUA_TTABLE);
        options_thaw(L, table);
        lua_pushnil(L);
        while (lua_next(L, table) != 0) {
            put_pair(L, q);
            lua_pop(L, 1);
        }
        q->has_body = true;
        add_header(L, q, S("Content-Type"),
                   S("application/x-www-form-urlencoded"));
    }
    lua_settop(L, table - 1);
}

static void
read_body(const struct options *o, struct http_query *q)
{
    lua_State *L = o->L;
    struct slice bytes;
    int top = lua_gettop(L);

    if (option_bytes(o, "body", &bytes))
        put_body(L, q, buf_append(&q->body, bytes));
    read_form(o, q);
    if (option_push(o, "json")) {
        options_thaw(L, lua_gettop(L));
        json_encode(L, lua_gettop(L));
        bytes.ptr = lua_tolstring(L, -1, &bytes.len);
        put_body(L, q, buf_append(&q->body, bytes));
        add_header(L, q, S("Content-Type"), S("application/json"));
    }
    lua_settop(L, top);
}

static void
read_unix_socket(const struct options *o, struct http_query *q)
{
    struct slice path;

    if (option_bytes(o, "unix_socket", &path)) {
        if (path.len >= sizeof(q->unix_socket) || path.len == 0 ||
            path.ptr[0] != '/' || has_control(path))
            (void)luaL_error(o->L, WHAT ": unix_socket: an absolute path of "
                                        "at most 107 bytes expected");
        memcpy(q->unix_socket, path.ptr, path.len);
        q->unix_socket[path.len] = '\0';
    }
    lua_pop(o->L, 1);
}

void
http_options_read(lua_State *L, int index, struct http_query *q)
{
    static const char *const names[] = {
        "method",  "headers", "body", "form",     "json",        "basic_auth",
        "timeout", "verify",  "ca",   "max_body", "unix_socket", NULL};
    struct slice ca;

    read_url(L, index, q);
    struct options o = options_check(L, index + 1, WHAT, names);
    read_headers(&o, q);
    read_basic_auth(&o, q);
    read_body(&o, q);
    read_unix_socket(&o, q);
    read_method(&o, q, q->has_body ? "POST" : "GET");
    q->timeout = time_within(
        L, option_number(&o, "timeout", (struct option_range){5, 0.001, 600}));
    q->max_body = (size_t)option_number(
        &o, "max_body", (struct option_range){1 << 20, 1, 64 << 20});
    q->verify = option_bool(&o, "verify", true);
    if (option_bytes(&o, "ca", &ca) && !buf_append(&q->ca, ca))
        (void)luaL_error(L, WHAT ": ca: longer than 1 MiB");
    lua_pop(L, 1);
}
