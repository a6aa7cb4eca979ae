/* mod_hash.c -- `moongate.hash`: ring(nodes, opts) and percent(key, seed).
 *
 * The hash is the first 8 bytes of SHA-256, most significant first, which every
 * language and `sha256sum` have.  Points of a ring are those of "NODE#0",
 * "NODE#1", ...; a key belongs to the node of the first point at or after its
 * own, and behind the last point the ring begins anew. */
#include "base/check.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METATABLE    "moongate.hash.ring"
#define NODES_MAX    1000
#define NODE_MAX     512 /* bytes */
#define REPLICAS     160
#define REPLICAS_MAX 1000
#define POINTS_MAX   200000

struct point {
    uint64_t at;
    uint32_t node; /* from 1, as in the list of names */
};

/* The names of the nodes are a table in the environment of the userdata. */
struct ring {
    size_t node_count, point_count;
    struct point points[];
};

static uint64_t
hash_of(struct slice text)
{
    char hex[65];

    digest_sha256(text, hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

static struct slice
check_text(lua_State *L, int index)
{
    struct slice text;

    text.ptr = luaL_checklstring(L, index, &text.len);
    return text;
}

/* --- percent --- */

static int
percent(lua_State *L)
{
    (void)check_text(L, 1);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        (void)check_text(L, 2);
        lua_insert(L, 1);
        lua_pushliteral(L, "#");
        lua_insert(L, 2);
        lua_concat(L, 3);
    } else {
        lua_settop(L, 1);
    }
    lua_pushinteger(L, (lua_Integer)(hash_of(check_text(L, 1)) % 100));
    return 1;
}

/* --- ring --- */

static int
compare_points(const void *a, const void *b)
{
    const struct point *p = a, *q = b;

    if (p->at != q->at)
        return p->at < q->at ? -1 : 1;
    return p->node < q->node ? -1 : p->node > q->node;
}

/* The name at `i` of the list on the top; each only once. */
static struct slice
check_node(lua_State *L, int seen, size_t i)
{
    lua_rawgeti(L, -1, (int)i);
    struct slice name = {0};
    if (lua_type(L, -1) == LUA_TSTRING)
        name.ptr = lua_tolstring(L, -1, &name.len);
    if (name.len == 0 || name.len > NODE_MAX)
        luaL_error(L, "hash.ring: node %d: a text of 1 to %d bytes expected",
                   (int)i, NODE_MAX);
    lua_pushvalue(L, -1);
    lua_rawget(L, seen);
    if (lua_toboolean(L, -1))
        luaL_error(L, "hash.ring: node %s is there twice", name.ptr);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    lua_pop(L, 1); /* the list still holds it */
    return name;
}

static void
add_points(struct ring *r, struct slice name, size_t replicas)
{
    char text[NODE_MAX + 16];

    r->node_count++;
    for (size_t i = 0; i < replicas; i++) {
        int len =
            snprintf(text, sizeof text, "%.*s#%zu", (int)name.len, name.ptr, i);
        r->points[r->point_count++] = (struct point){
            hash_of((struct slice){text, (size_t)len}),
            (uint32_t)r->node_count,
        };
    }
}

/* A list of its own: the caller may change his. */
static void
copy_nodes(lua_State *L, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (int)i);
        lua_rawseti(L, -2, (int)i);
    }
}

static int
ring_new(lua_State *L)
{
    static const char *const names[] = {"replicas", NULL};

    luaL_checkany(L, 1);
    options_thaw(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    struct options opts = options_check(L, 2, "hash.ring", names);
    size_t replicas = (size_t)option_number(
        &opts, "replicas", (struct option_range){REPLICAS, 1, REPLICAS_MAX});
    size_t count = lua_objlen(L, 1);
    luaL_argcheck(L, count >= 1 && count <= NODES_MAX, 1,
                  "1 to 1000 nodes expected");
    luaL_argcheck(L, count * replicas <= POINTS_MAX, 1,
                  "nodes times replicas: at most 200000");

    struct ring *r =
        lua_newuserdata(L, sizeof *r + count * replicas * sizeof *r->points);
    r->node_count = r->point_count = 0;
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    copy_nodes(L, count);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    for (size_t i = 1; i <= count; i++) {
        add_points(r, check_node(L, lua_gettop(L) - 1, i), replicas);
        vm_check_budget(L);
    }
    lua_pop(L, 2);
    (void)lua_setfenv(L, -2);
    qsort(r->points, r->point_count, sizeof *r->points, compare_points);
    return 1;
}

/* The first point at or after `at`. */
static size_t
first_point(const struct ring *r, uint64_t at)
{
    size_t low = 0, high = r->point_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->points[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low == r->point_count ? 0 : low;
}

/* With the name on the top: whether it may be picked. */
static bool
is_healthy(lua_State *L)
{
    if (lua_isnil(L, 3))
        return true;
    lua_pushvalue(L, 3);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    bool healthy = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    vm_check_budget(L);
    return healthy;
}

/* (ring, key, healthy): the node, or nil if none is healthy. */
static int
ring_pick(lua_State *L)
{
    const struct ring *r = luaL_checkudata(L, 1, METATABLE);
    struct slice key = check_text(L, 2);
    bool asked[NODES_MAX + 1] = {false};
    size_t start, left = r->node_count;

    lua_settop(L, 3);
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_getfenv(L, 1);
    start = first_point(r, hash_of(key));
    for (size_t i = 0; left > 0; i++) {
        uint32_t node = r->points[(start + i) % r->point_count].node;
        if (asked[node])
            continue;
        asked[node] = true;
        left--;
        lua_rawgeti(L, 4, (int)node);
        if (is_healthy(L))
            return 1;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return 1;
}

int
mod_hash_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"ring", ring_new}, {"percent", percent}, {NULL, NULL}};

    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_newtable(L);
        lua_pushcfunction(L, ring_pick);
        lua_setfield(L, -2, "pick");
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
