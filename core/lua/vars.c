#include "lua/vars.h"

#include "base/check.h"
#include "base/slice.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Entries, one after the other: uint32 size of what follows, key, value.  A
 * scalar is a letter and its bytes: 's' uint32 length, 'n' double, 't', 'f'.
 * A flat table is '{' uint32 count, and count times key, value. */
struct vars {
    unsigned references;
    size_t len;
    char *bytes;
};

struct writer {
    char bytes[VARS_MAX];
    size_t len;
};

struct vars *
vars_new(void)
{
    struct vars *v = xcalloc(1, sizeof *v);

    v->references = 1;
    return v;
}

struct vars *
vars_ref(struct vars *v)
{
    v->references++;
    return v;
}

struct vars *
vars_copy(const struct vars *v)
{
    struct vars *copy = vars_new();

    copy->len = v->len;
    if (v->len > 0)
        copy->bytes = xstrndup(v->bytes, v->len);
    return copy;
}

void
vars_unref(struct vars *v)
{
    if (v == NULL || --v->references > 0)
        return;
    if (v->bytes != NULL)
        explicit_bzero(v->bytes, v->len);
    free(v->bytes);
    free(v);
}

static void
put(lua_State *L, struct writer *w, const void *bytes, size_t len)
{
    if (len > sizeof w->bytes - w->len)
        luaL_error(L, "session.vars: more than 8 KiB");
    if (len > 0)
        memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

static void
put_size(lua_State *L, struct writer *w, size_t size)
{
    uint32_t n = (uint32_t)size;
    put(L, w, &n, sizeof n);
}

static void
put_scalar(lua_State *L, struct writer *w, int index)
{
    size_t len;
    double number = lua_tonumber(L, index);

    switch (lua_type(L, index)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, index, &len);
        put(L, w, "s", 1);
        put_size(L, w, len);
        put(L, w, text, len);
        break;
    }
    case LUA_TNUMBER:
        put(L, w, "n", 1);
        put(L, w, &number, sizeof number);
        break;
    case LUA_TBOOLEAN:
        put(L, w, lua_toboolean(L, index) ? "t" : "f", 1);
        break;
    default:
        luaL_error(L,
                   "session.vars: plain data only (text, numbers, booleans, "
                   "flat tables), not a %s",
                   luaL_typename(L, index));
    }
}

static void
put_value(lua_State *L, struct writer *w, int index)
{
    size_t at;
    uint32_t count = 0;

    if (lua_type(L, index) != LUA_TTABLE) {
        put_scalar(L, w, index);
        return;
    }
    put(L, w, "{", 1);
    at = w->len;
    put_size(L, w, 0);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        put_scalar(L, w, lua_gettop(L) - 1);
        put_scalar(L, w, lua_gettop(L));
        lua_pop(L, 1);
        count++;
    }
    memcpy(w->bytes + at, &count, sizeof count);
}

static size_t
get_size(const char **at)
{
    uint32_t n;

    memcpy(&n, *at, sizeof n);
    *at += sizeof n;
    return n;
}

static void
push_scalar(lua_State *L, const char **at)
{
    char type = *(*at)++;
    double number;
    size_t len;

    if (type == 's') {
        len = get_size(at);
        lua_pushlstring(L, *at, len);
        *at += len;
    } else if (type == 'n') {
        memcpy(&number, *at, sizeof number);
        lua_pushnumber(L, number);
        *at += sizeof number;
    } else {
        lua_pushboolean(L, type == 't');
    }
}

static void
push_value(lua_State *L, const char **at)
{
    if (**at != '{') {
        push_scalar(L, at);
        return;
    }
    ++*at;
    size_t count = get_size(at);
    lua_newtable(L);
    while (count-- > 0) {
        push_scalar(L, at);
        push_scalar(L, at);
        lua_rawset(L, -3);
    }
}

/* The entry whose encoded key is `key`, or NULL; `*size` with its head. */
static const char *
find(const struct vars *v, struct slice key, size_t *size)
{
    const char *at = v->bytes;
    const char *end = v->len > 0 ? v->bytes + v->len : at;

    while (at < end) {
        const char *body = at;
        size_t len = get_size(&body);
        if (len > key.len && memcmp(body, key.ptr, key.len) == 0) {
            *size = len + sizeof(uint32_t);
            return at;
        }
        at = body + len;
    }
    return NULL;
}

static void
check_key(lua_State *L, int key)
{
    if (lua_type(L, key) != LUA_TSTRING && lua_type(L, key) != LUA_TNUMBER)
        luaL_error(L, "session.vars: a key must be text or a number");
}

void
vars_get(const struct vars *v, lua_State *L, int key)
{
    struct writer w = {.len = 0};
    size_t size;

    check_key(L, key);
    put_scalar(L, &w, key);
    const char *at = find(v, (struct slice){w.bytes, w.len}, &size);
    if (at == NULL) {
        lua_pushnil(L);
        return;
    }
    at += sizeof(uint32_t) + w.len;
    push_value(L, &at);
}

static void
remove_entry(struct vars *v, struct slice key)
{
    size_t size;
    const char *at = find(v, key, &size);

    if (at == NULL)
        return;
    size_t start = (size_t)(at - v->bytes);
    memmove(v->bytes + start, at + size, v->len - start - size);
    v->len -= size;
    explicit_bzero(v->bytes + v->len, size);
}

void
vars_set(struct vars *v, lua_State *L, int key, int value)
{
    struct writer w = {.len = 0};
    size_t key_len, size = 0;

    check_key(L, key);
    put_scalar(L, &w, key);
    key_len = w.len;
    struct slice encoded_key = {w.bytes, key_len};
    if (lua_isnil(L, value)) {
        remove_entry(v, encoded_key);
        return;
    }
    put_value(L, &w, value);
    (void)find(v, encoded_key, &size);
    if (v->len - size + w.len + sizeof(uint32_t) > VARS_MAX)
        luaL_error(L, "session.vars: more than 8 KiB");

    remove_entry(v, encoded_key);
    uint32_t body = (uint32_t)w.len;
    char *bytes = xmalloc(v->len + sizeof body + w.len);
    if (v->len > 0)
        memcpy(bytes, v->bytes, v->len);
    memcpy(bytes + v->len, &body, sizeof body);
    memcpy(bytes + v->len + sizeof body, w.bytes, w.len);
    if (v->bytes != NULL)
        explicit_bzero(v->bytes, v->len);
    free(v->bytes);
    v->bytes = bytes;
    v->len += sizeof body + w.len;
}

void
vars_table(const struct vars *v, lua_State *L)
{
    const char *at = v->bytes;
    const char *end = v->len > 0 ? v->bytes + v->len : at;

    lua_newtable(L);
    while (at < end) {
        (void)get_size(&at);
        push_scalar(L, &at);
        push_value(L, &at);
        lua_rawset(L, -3);
    }
}
