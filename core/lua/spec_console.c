#include "lua/spec_console.h"

#include "base/check.h"
#include "lua/call.h"
#include "lua/spec_gateway.h"

#include <lauxlib.h>
#include <string.h>

#define SECONDS 60. /* that what was typed may wait */

static void
finished(struct call *c, enum call_end end)
{
    *(enum call_end *)c->arg = end;
}

/* Pushes moongate.console of the policies' state, there. */
static void
push_module(lua_State *L)
{
    vm_core(L, "require");
    lua_pushliteral(L, "moongate.console");
    lua_call(L, 1, 1);
}

/* (name) -> that function of the module. */
static int
find(lua_State *L)
{
    push_module(L);
    lua_pushvalue(L, 1);
    lua_gettable(L, -2);
    return 1;
}

static bool
load(lua_State *L, const char *before, const char *text, const char *behind)
{
    size_t len;

    lua_pushstring(L, before);
    lua_pushstring(L, text);
    lua_pushstring(L, behind);
    lua_concat(L, 3);
    const char *whole = lua_tolstring(L, -1, &len);
    int status = luaL_loadbufferx(L, whole, len, "=console", "t");
    lua_remove(L, -2);
    return status == 0;
}

/* (text) -> function; or nil and the message.  An expression is its values,
 * by way of the function's argument: behind a `return` alone a call would be a
 * tail call, and its errors would be told of another line. */
static int
compile(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);

    if (!load(L, "return (...)(", text, ")") &&
        !load(L, "return (...)(", text, "\n)") && !load(L, "", text, "")) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    push_module(L);
    lua_getfield(L, -1, "environment");
    (void)lua_setfenv(L, -3);
    lua_pop(L, 1);
    return 1;
}

/* Calls `fn` with a text, there, as the body of a file; its `results` are on
 * the policies' stack, or one message. */
static bool
prepare(struct vm *vm, lua_CFunction fn, const char *text, int results)
{
    lua_pushcfunction(vm->L, fn);
    lua_pushstring(vm->L, text);
    return vm_call(vm, 1, results);
}

/* Nil and the message that is on the policies' stack. */
static int
push_failure(lua_State *L, lua_State *policies)
{
    lua_pushnil(L);
    lua_pushstring(L, lua_tostring(policies, -1));
    lua_settop(policies, 0);
    return 2;
}

/* The function and its argument are on the policies' stack. */
static int
run(lua_State *L, struct spec_gateway *g)
{
    struct vm *vm = g->generation->vm;
    enum call_end end = CALL_WAITS;
    struct call *c = call_new(vm, SECONDS, finished, &end);

    if (c == NULL)
        return luaL_error(L, "too many calls");
    lua_xmove(vm->L, call_thread(c), 2);
    end = call_start(c, 1);
    while (end == CALL_WAITS && spec_world_step(g->world))
        ;
    if (end == CALL_RETURNED) {
        lua_pushstring(L, lua_tostring(c->thread, 1));
        call_release(c, true);
        call_free(c);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, end == CALL_FAILED ? c->error : "no answer in time");
    call_free(c);
    return 2;
}

int
spec_console_call(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct vm *vm = g->generation->vm;
    const char *text = luaL_checkstring(L, 3);

    if (!prepare(vm, find, luaL_checkstring(L, 2), 1))
        return push_failure(L, vm->L);
    lua_pushstring(vm->L, text);
    return run(L, g);
}

static bool
is_unfinished(const char *message)
{
    static const char end[] = "near '<eof>'";
    size_t len = strlen(message);

    return len >= sizeof end - 1 &&
           strcmp(message + len - (sizeof end - 1), end) == 0;
}

int
spec_console_run(lua_State *L)
{
    struct spec_gateway *g = spec_gateway_check(L, 1);
    struct vm *vm = g->generation->vm;
    const char *text = luaL_checkstring(L, 2);

    if (!prepare(vm, find, "run", 1) || !prepare(vm, compile, text, 2))
        return push_failure(L, vm->L);
    if (lua_isnil(vm->L, -2)) {
        (void)push_failure(L, vm->L);
        lua_pushboolean(L, is_unfinished(lua_tostring(L, -1)));
        return 3;
    }
    lua_pop(vm->L, 1);
    return run(L, g);
}
