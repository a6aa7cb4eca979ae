#include "lua/patterns.h"

#include "base/pattern.h"
#include "base/slice.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>

#define MANY_STEPS 20000 /* so many take longer than instructions tell */

static struct slice
text_argument(lua_State *L, int index)
{
    struct slice text;

    text.ptr = luaL_checklstring(L, index, &text.len);
    return text;
}

/* A call ends: was it a long one, or did it fail? */
static void
settle(lua_State *L, const struct pattern *p)
{
    if (PATTERN_STEPS - p->left > MANY_STEPS)
        vm_look_soon(vm_of(L));
    if (p->error != NULL)
        luaL_error(L, "%s", p->error);
}

/* --- captures --- */

/* Pushes the `index`-th capture of a match from `from` to `end`; without
 * captures the first is the whole match. */
static void
push_capture(lua_State *L, const struct pattern *p, size_t index, size_t from,
             size_t end)
{
    struct pattern_capture c = {from, end - from};

    if (index < p->count)
        c = p->captures[index];
    else if (index > 0)
        luaL_error(L, "invalid capture index");
    if (c.len == PATTERN_OPEN)
        luaL_error(L, "unfinished capture");
    if (c.len == PATTERN_POSITION)
        lua_pushinteger(L, (lua_Integer)c.at + 1);
    else
        lua_pushlstring(L, p->subject.ptr + c.at, c.len);
}

static int
push_captures(lua_State *L, const struct pattern *p, size_t from, size_t end)
{
    size_t count = p->count > 0 ? p->count : 1;

    luaL_checkstack(L, (int)count, "too many captures");
    for (size_t i = 0; i < count; i++)
        push_capture(L, p, i, from, end);
    return (int)count;
}

/* --- find and match --- */

/* The `init` argument as a position in the subject. */
static size_t
start_of(lua_State *L, size_t len)
{
    lua_Integer init = luaL_optinteger(L, 3, 1);

    if (init < 0)
        init += (lua_Integer)len + 1;
    if (init < 1)
        init = 1;
    return (size_t)init - 1 < len ? (size_t)init - 1 : len;
}

/* Drops the ^ that anchors. */
static bool
take_anchor(struct slice *text)
{
    bool anchored = slice_has_prefix(*text, S("^"));

    if (anchored)
        *text = slice_drop(*text, 1);
    return anchored;
}

/* From `from` on.  PATTERN_NO, or the end and, in `*begin`, the begin. */
static size_t
search(struct pattern *p, bool anchored, size_t from, size_t *begin)
{
    for (*begin = from; *begin <= p->subject.len; ++*begin) {
        size_t end = pattern_match(p, *begin);
        if (end != PATTERN_NO || p->error != NULL || anchored)
            return end;
    }
    return PATTERN_NO;
}

static int
find_plain(lua_State *L, struct slice subject, struct slice text, size_t from)
{
    /* glibc's takes linear time. */
    const char *found =
        memmem(subject.ptr + from, subject.len - from, text.ptr, text.len);

    if (subject.len > MANY_STEPS)
        vm_look_soon(vm_of(L));
    if (found == NULL)
        return 0;
    lua_pushinteger(L, (found - subject.ptr) + 1);
    lua_pushinteger(L, (found - subject.ptr) + (lua_Integer)text.len);
    return 2;
}

static int
find(lua_State *L, bool positions)
{
    struct slice subject = text_argument(L, 1), text = text_argument(L, 2);
    size_t from = start_of(L, subject.len), begin;
    bool plain = lua_toboolean(L, 4) != 0 || !pattern_is_special(text);
    struct pattern p;

    if (positions && plain) {
        if (find_plain(L, subject, text, from) == 2)
            return 2;
        lua_pushnil(L);
        return 1;
    }
    bool anchored = take_anchor(&text);
    pattern_init(&p, subject, text);
    size_t end = search(&p, anchored, from, &begin);
    settle(L, &p);
    if (end == PATTERN_NO) {
        lua_pushnil(L);
        return 1;
    }
    if (!positions)
        return push_captures(L, &p, begin, end);
    lua_pushinteger(L, (lua_Integer)begin + 1);
    lua_pushinteger(L, (lua_Integer)end);
    return 2 + (p.count > 0 ? push_captures(L, &p, begin, end) : 0);
}

int
patterns_find(lua_State *L)
{
    return find(L, true);
}

int
patterns_match(lua_State *L)
{
    return find(L, false);
}

/* --- gmatch --- */

/* Upvalues: subject, pattern, where to go on. */
static int
next_match(lua_State *L)
{
    struct slice subject = text_argument(L, lua_upvalueindex(1));
    struct slice text = text_argument(L, lua_upvalueindex(2));
    size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3)), begin;
    struct pattern p;

    pattern_init(&p, subject, text);
    size_t end = search(&p, false, from, &begin);
    settle(L, &p);
    if (end == PATTERN_NO)
        return 0;
    lua_pushinteger(L, (lua_Integer)(end == begin ? end + 1 : end));
    lua_replace(L, lua_upvalueindex(3));
    return push_captures(L, &p, begin, end);
}

int
patterns_gmatch(lua_State *L)
{
    (void)text_argument(L, 1);
    (void)text_argument(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* --- gsub --- */

struct span {
    size_t from, end;
};

/* What %c stands for. */
static void
add_escaped(luaL_Buffer *out, const struct pattern *p, char c, struct span span)
{
    if (c < '0' || c > '9') {
        luaL_addchar(out, c);
    } else if (c == '0') {
        luaL_addlstring(out, p->subject.ptr + span.from, span.end - span.from);
    } else {
        push_capture(out->L, p, (size_t)(c - '1'), span.from, span.end);
        luaL_addvalue(out);
    }
}

/* The text of the third argument, with %0 to %9 replaced. */
static void
add_text(luaL_Buffer *out, const struct pattern *p, size_t from, size_t end)
{
    lua_State *L = out->L;
    struct slice text;

    text.ptr = lua_tolstring(L, 3, &text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 1 < text.len)
            add_escaped(out, p, text.ptr[++i], (struct span){from, end});
        else
            luaL_addchar(out, c);
    }
}

/* What the table or the function at index 3 makes of a match. */
static void
add_value(luaL_Buffer *out, const struct pattern *p, size_t from, size_t end)
{
    lua_State *L = out->L;

    if (lua_isfunction(L, 3)) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, p, from, end), 1);
        vm_check_budget(L); /* it may be in C, and take long each time */
    } else {
        push_capture(L, p, 0, from, end);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, p->subject.ptr + from, end - from);
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(out);
}

static void
check_replacement(lua_State *L)
{
    int type = lua_type(L, 3);

    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TTABLE &&
        type != LUA_TFUNCTION)
        luaL_argerror(L, 3, "string/function/table expected");
}

/* Replaces a match at *from, if there is one, and moves on by it or a byte.
 * False at the end. */
static bool
replace(luaL_Buffer *out, struct pattern *p, size_t *from, lua_Integer *count)
{
    size_t end = pattern_match(p, *from);

    if (p->error != NULL)
        return false;
    if (end != PATTERN_NO) {
        ++*count;
        if (lua_isstring(out->L, 3))
            add_text(out, p, *from, end);
        else
            add_value(out, p, *from, end);
    }
    if (end != PATTERN_NO && end > *from)
        *from = end;
    else if (*from < p->subject.len)
        luaL_addchar(out, p->subject.ptr[(*from)++]);
    else
        return false;
    return true;
}

int
patterns_gsub(lua_State *L)
{
    struct slice subject = text_argument(L, 1), text = text_argument(L, 2);
    lua_Integer most, count = 0;
    size_t from = 0;
    struct pattern p;
    luaL_Buffer out;

    check_replacement(L);
    most = luaL_optinteger(L, 4, (lua_Integer)subject.len + 1);
    lua_settop(L, 4);
    bool anchored = take_anchor(&text);
    pattern_init(&p, subject, text);
    luaL_buffinit(L, &out);
    while (count < most && replace(&out, &p, &from, &count) && !anchored)
        ;
    settle(L, &p);
    luaL_addlstring(&out, subject.ptr + from, subject.len - from);
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}
