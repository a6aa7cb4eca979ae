#include "lua/checks.h"

#include "base/slice.h"
#include "lua/objects.h"
#include "lua/target.h"
#include "net/addr.h"
#include "net/network.h"

#include <lauxlib.h>
#include <string.h>

#define SUBJECT_MAX     ((size_t)64 << 10) /* bytes that a pattern may see */
#define QUANTIFIERS_MAX 8
#define NAMES_MAX       128

/* Repetitions in a pattern; those in sets and after % don't count. */
static size_t
quantifiers(struct slice pattern)
{
    size_t count = 0;
    bool set = false;

    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '%')
            i++;
        else if (c == '[' || c == ']')
            set = c == '[';
        else if (!set && c != '\0' && strchr("*+-?", c) != NULL)
            count++;
    }
    return count;
}

int
check_pattern(lua_State *L)
{
    struct slice subject, pattern;
    const char *what = NULL;

    subject.ptr = lua_tolstring(L, 1, &subject.len);
    pattern.ptr = lua_tolstring(L, 2, &pattern.len);
    if (subject.ptr == NULL || pattern.ptr == NULL)
        return 0; /* the real function says what is wrong */
    if (subject.len > SUBJECT_MAX)
        what = "pattern matching is limited to subjects of 64 KiB";
    else if (quantifiers(pattern) > QUANTIFIERS_MAX)
        what = "a pattern may hold at most 8 of * + - ?";
    if (what == NULL)
        return 0;
    luaL_where(L, 2);
    lua_pushstring(L, what);
    lua_concat(L, 2);
    return lua_error(L);
}

int
check_nearest(lua_State *L)
{
    const char *names[NAMES_MAX + 1];
    const char *wanted = luaL_checkstring(L, 1);
    size_t n = 0;

    luaL_checktype(L, 2, LUA_TTABLE);
    for (int i = 1; n < NAMES_MAX; i++) {
        lua_rawgeti(L, 2, i);
        if (lua_type(L, -1) != LUA_TSTRING)
            break;
        names[n++] = lua_tostring(L, -1); /* anchored by the table */
        lua_pop(L, 1);
    }
    names[n] = NULL;
    lua_pushstring(L, nearest_name(wanted, names));
    return 1;
}

static struct slice
text_argument(lua_State *L)
{
    struct slice text;

    text.ptr = luaL_checklstring(L, 1, &text.len);
    return text;
}

static int
push_error(lua_State *L, bool right, const struct error *err)
{
    if (right)
        lua_pushnil(L);
    else
        lua_pushstring(L, err->text);
    return 1;
}

int
check_target(lua_State *L)
{
    struct target t = {0};
    struct error err;
    bool right = target_parse(text_argument(L), &t, &err);

    return push_error(L, right, &err);
}

int
check_pin(lua_State *L)
{
    unsigned char pin[TLS_PIN_SIZE];
    struct error err = {"not such a digest"};

    return push_error(L, target_parse_pin(text_argument(L), pin), &err);
}

int
check_ip(lua_State *L)
{
    struct addr a;
    struct error err = {"not an address"};

    return push_error(L, addr_parse_ip(text_argument(L), 0, &a), &err);
}

int
check_address(lua_State *L)
{
    struct addr a;
    struct error err;
    bool right = addr_parse(text_argument(L), 0, &a, &err);

    return push_error(L, right, &err);
}

int
check_network(lua_State *L)
{
    struct network n;
    struct error err;
    bool right = network_parse(text_argument(L), &n, &err);

    return push_error(L, right, &err);
}

int
check_resolver(lua_State *L)
{
    struct slice text = text_argument(L);
    struct addr a;
    struct error err;
    bool right = addr_parse_ip(text, 53, &a) ||
                 (addr_parse(text, 53, &a, &err) && !addr_is_local(&a));

    (void)error_set(&err, "not an address");
    return push_error(L, right, &err);
}
