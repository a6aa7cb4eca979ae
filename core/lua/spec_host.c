#include "lua/spec_host.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/run.h"
#include "lua/spec_coverage.h"
#include "lua/spec_facts.h"
#include "lua/spec_gateway.h"

#include <lauxlib.h>

#define LOG_MAX ((size_t)1 << 20)

/* Messages since the last look; specs of one process share the logger. */
static struct buf logged;

static void
keep_line(enum log_level level, struct slice line)
{
    (void)level;
    if (!buf_append(&logged, line) || !buf_append(&logged, S("\n")))
        return;
}

/* What was logged since the last call. */
static int
host_logged(lua_State *L)
{
    struct slice text = buf_bytes(&logged);

    lua_pushlstring(L, text.len > 0 ? text.ptr : "", text.len);
    buf_consume(&logged, text.len);
    return 1;
}

/* Counts the lines of policies from now on. */
static int
host_cover(lua_State *L)
{
    (void)L;
    spec_coverage_begin();
    return 0;
}

static int
host_covered(lua_State *L)
{
    spec_coverage_push(L);
    return 1;
}

static const luaL_Reg functions[] = {
    {"open", spec_gateway_open},
    {"run", run_function},
    {"logged", host_logged},
    {"cover", host_cover},
    {"covered", host_covered},
    {"facts", spec_facts},
    {"refusal", spec_refusal},
    {"read_configuration", spec_read_configuration},
    {NULL, NULL},
};

int
spec_host_open(lua_State *L)
{
    if (logged.cap == 0) {
        buf_init(&logged, LOG_MAX);
        log_set_level(LOG_DEBUG);
        log_set_sink(keep_line);
    }
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
