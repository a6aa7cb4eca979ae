#include "lua/pool_config.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/target.h"
#include "lua/values.h"

#include <lauxlib.h>

static enum balance
read_balance(struct slice word)
{
    if (slice_equal(word, S("round_robin")))
        return BALANCE_ROUND_ROBIN;
    return slice_equal(word, S("hash")) ? BALANCE_HASH : BALANCE_LEAST;
}

static bool
read_pins(const struct pool_building *b, int table, struct target *t)
{
    lua_State *L = b->L;

    lua_getfield(L, table, "pin");
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        struct slice text;
        lua_rawgeti(L, -1, i);
        text.ptr = luaL_checklstring(L, -1, &text.len);
        lua_pop(L, 1);
        if (t->pin_count == TARGET_PINS_MAX ||
            !target_parse_pin(text, t->pins[t->pin_count]))
            return error_set(b->err,
                             "pin: at most %d of \"sha256/\" and 44 digits "
                             "of base64 expected",
                             TARGET_PINS_MAX);
        t->pin_count++;
    }
    lua_pop(L, 1);
    return true;
}

/* How all members are spoken to. */
static bool
read_like(const struct pool_building *b, int table, struct target *t)
{
    lua_State *L = b->L;
    struct arena *a = b->arena;
    struct slice version = value_text(L, table, "proxy_protocol");

    *t = (struct target){
        .source = value_copy(L, table, "source", a),
        .connect_timeout = value_number(L, table, "connect_timeout"),
        .tls_profile = value_copy(L, table, "profile", a),
        .server_name = value_copy(L, table, "server_name", a),
        .distrusted = !value_flag(L, table, "trusted"),
    };
    if (version.len > 0)
        t->proxy_protocol = slice_equal(version, S("v1")) ? 1 : 2;
    if (!read_pins(b, table, t))
        return false;
    if (!value_flag(L, table, "verify"))
        t->verify = t->pin_count > 0 ? TLS_VERIFY_PIN : TLS_VERIFY_NONE;
    return target_tls_mode(value_text(L, table, "tls"), &t->tls) ||
           error_set(b->err, "tls: unknown mode");
}

static bool
read_member(const struct pool_building *b, int table, struct pool *p)
{
    struct slice address = value_copy(b->L, table, "address", b->arena);
    struct target t = {0};

    if (!target_parse(address, &t, b->err))
        return false;
    struct place place = {p->name, t.host, t.port};
    p->members[p->count++] = (struct pool_member){
        .host = t.host,
        .port = t.port,
        .weight = (unsigned)value_number(b->L, table, "weight"),
        .backup = value_flag(b->L, table, "backup"),
        .member = pools_take(b->pools, &place),
    };
    return true;
}

/* The list is at the top of the stack. */
static bool
read_members(const struct pool_building *b, struct pool *p)
{
    lua_State *L = b->L;
    int list = lua_gettop(L);
    size_t count = lua_objlen(L, list);

    if (count == 0 || count > POOL_MEMBERS_MAX)
        return error_set(b->err, "from 1 to %d members expected",
                         POOL_MEMBERS_MAX);
    p->members = arena_alloc(b->arena, count * sizeof *p->members);
    require(p->members != NULL);
    for (int i = 1; i <= (int)count; i++) {
        lua_rawgeti(L, list, i);
        if (!read_member(b, lua_gettop(L), p))
            return error_context(b->err, "[%d]", i);
        lua_settop(L, list);
    }
    return true;
}

static bool
read_pool(const struct pool_building *b, int table, struct upstream_pool *u)
{
    struct pool *p = &u->pool;

    p->balance = read_balance(value_text(b->L, table, "balance"));
    p->limits = (struct member_limits){
        .max_failures = (unsigned)value_number(b->L, table, "max_failures"),
        .retry = value_number(b->L, table, "retry"),
    };
    lua_getfield(b->L, table, "members");
    return read_members(b, p) && read_like(b, table, &u->like);
}

bool
pool_config_read(const struct pool_building *b, int gateway, struct config *c)
{
    lua_State *L = b->L;
    size_t count = 0;

    lua_getfield(L, gateway, "pools");
    int all = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, all) != 0; lua_pop(L, 1))
        count++;
    c->pools = arena_alloc(b->arena, (count + 1) * sizeof *c->pools);
    require(c->pools != NULL);
    for (lua_pushnil(L); lua_next(L, all) != 0; lua_settop(L, all + 1)) {
        struct upstream_pool *u = &c->pools[c->pool_count++];
        struct slice name;
        name.ptr = lua_tolstring(L, -2, &name.len);
        *u = (struct upstream_pool){.pool.name = value_keep(b->arena, name)};
        if (!read_pool(b, lua_gettop(L), u)) {
            lua_settop(L, all - 1);
            return error_context(b->err, "pools.%s", u->pool.name.ptr);
        }
    }
    lua_settop(L, all - 1);
    return true;
}

void
pool_config_forget(struct config *c)
{
    for (size_t i = 0; i < c->pool_count; i++) {
        for (size_t j = 0; j < c->pools[i].pool.count; j++)
            member_unref(c->pools[i].pool.members[j].member);
    }
}
