#include "lua/trace_host.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/replay.h"
#include "lua/spec_gateway.h"
#include "lua/trace.h"

#include <lauxlib.h>
#include <sys/stat.h>

#define EVENTS_MAX ((size_t)8 << 20)

/* What was seen and not asked for yet, a line each. */
static struct buf seen;

static bool
follows(struct trace_observer *o, const struct session *s)
{
    (void)o;
    (void)s;
    return true;
}

/* What there is no room for is not told. */
static void
see(struct trace_observer *o, const struct session *s, struct slice line)
{
    (void)o;
    (void)s;
    if (buf_room(&seen) <= line.len || !buf_append(&seen, line) ||
        !buf_append(&seen, S("\n")))
        return;
}

static struct trace_observer observer = {.follows = follows, .see = see};

/* (records): from now on; with what I/O answers, if `records`. */
static int
follow(lua_State *L)
{
    trace_remove(&observer);
    observer.records = lua_toboolean(L, 1) != 0;
    trace_add(&observer);
    return 0;
}

/* All since the last look, JSON, a line each. */
static int
lines(lua_State *L)
{
    struct slice text = buf_bytes(&seen);

    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    buf_consume(&seen, text.len);
    return 1;
}

/* (mechanism, challenge, password): what a client says that knows it. */
static int
response(lua_State *L)
{
    struct slice challenge, password;
    char hex[32];

    bool apop = strcmp(luaL_checkstring(L, 1), "APOP") == 0;
    challenge.ptr = luaL_checklstring(L, 2, &challenge.len);
    password.ptr = luaL_checklstring(L, 3, &password.len);
    if (!(apop ? digest_md5(challenge, password, hex)
               : digest_hmac_md5(password, challenge, hex)))
        return luaL_error(L, "this machine allows no MD5");
    lua_pushlstring(L, hex, sizeof hex);
    return 1;
}

/* (gateway, answers): its hooks wait for nothing real from now on, see
 * replay.h. */
static int
replay(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct error err = {""};
    struct slice answers;

    answers.ptr = luaL_checklstring(L, 2, &answers.len);
    if (!replay_set(g->generation->vm, answers, &err))
        return luaL_error(L, "%s", err.text);
    return 0;
}

/* What is written from now on is for its owner's eyes. */
static int
keep_private(lua_State *L)
{
    (void)L;
    (void)umask(077);
    return 0;
}

static const luaL_Reg functions[] = {
    {"keep_private", keep_private},
    {"replay", replay},
    {"response", response},
    {"follow", follow},
    {"lines", lines},
    {NULL, NULL},
};

int
trace_host_open(lua_State *L)
{
    if (seen.cap == 0)
        buf_init(&seen, EVENTS_MAX);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
