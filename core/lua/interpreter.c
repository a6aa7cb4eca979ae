#include "lua/interpreter.h"

#include "base/log.h"
#include "lua/lasting.h"
#include "lua/module.h"
#include "lua/policy_lua.h"
#include "lua/run.h"
#include "lua/share.h"
#include "lua/source.h"
#include "lua/spec_host.h"
#include "lua/trace_host.h"
#include "lua/vm.h"
#include "net/dns.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const luaL_Reg preloaded[] = {
#define MODULE(name, open) {name, open},
#include "lua/modules.def"
#undef MODULE
    {"moongate.spec.host", spec_host_open},
    {"moongate.trace.host", trace_host_open},
    {"moongate.command.host", command_host_open},
    {"moongate.check.host", check_host_open},
    {NULL, NULL},
};

struct start {
    const char *file;
    int argc; /* behind the file */
    char **argv;
    const struct share *share;
    int status; /* what the file returns, if it is a number */
};

/* `arg`, as every Lua interpreter sets it. */
static void
set_arguments(lua_State *L, const struct start *s)
{
    lua_newtable(L);
    lua_pushliteral(L, "moongate");
    lua_rawseti(L, -2, -1);
    lua_pushstring(L, s->file);
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < s->argc; i++) {
        lua_pushstring(L, s->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
}

void
interpreter_set_modules(lua_State *L, const struct share *share)
{
    lua_getglobal(L, "package");
    (void)lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;", share->library,
                          share->library);
    lua_getfield(L, -2, "path");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");

    lua_getfield(L, -1, "preload");
    for (const luaL_Reg *m = preloaded; m->name != NULL; m++) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);
    lua_getfield(L, -1, "loaded");
    vm_core(L, "itself");
    lua_setfield(L, -2, "moongate.core");
    lua_pop(L, 2);
}

/* `error()` asks for a silent end, as with other interpreters. */
static int
add_traceback(lua_State *L)
{
    if (lua_isnil(L, 1))
        return 1;
    const char *text = vm_error_text(L, 1);

    luaL_traceback(L, L, text, 1);
    return 1;
}

/* Protected. */
static int
run_file(lua_State *L)
{
    struct start *s = lua_touserdata(L, 1);

    set_arguments(L, s);
    interpreter_set_modules(L, s->share);
    lua_pushcfunction(L, add_traceback);
    if (luaL_loadfile(L, s->file) != 0)
        return lua_error(L);
    for (int i = 0; i < s->argc; i++)
        lua_pushstring(L, s->argv[i]);
    if (lua_pcall(L, s->argc, 1, 2) != 0)
        return lua_error(L);
    s->status = (int)lua_tointeger(L, -1);
    return 0;
}

static int
run(const struct host *host, struct start *start)
{
    struct error err;
    struct source *source = source_of_disk(NULL, NULL, start->share, NULL);
    struct vm *vm = vm_new(host, source, true, &err);
    int status = EXIT_FAILURE;

    if (vm == NULL)
        (void)fprintf(stderr, "moongate: %s\n", err.text);
    else if (lua_cpcall(vm->L, run_file, start) == 0)
        status = start->status;
    else if (!lua_isnil(vm->L, -1))
        (void)fprintf(stderr, "moongate: %s\n", lua_tostring(vm->L, -1));
    vm_free(vm);
    source_free(source);
    return status;
}

static int
begin(struct start *start)
{
    struct host host = {.loop = ev_default_loop(EVBACKEND_EPOLL), .worker = 1};
    const struct dns_options system = {.servers = NULL};
    struct error err;

    (void)signal(SIGPIPE, SIG_IGN);
    host.dns = dns_new(host.loop, &system, &err);
    if (host.dns == NULL) {
        (void)fprintf(stderr, "moongate: %s\n", err.text);
        return EXIT_FAILURE;
    }
    host.lasting = lasting_new(host.loop, host.dns);
    int status = run(&host, start);
    lasting_free(host.lasting);
    dns_free(host.dns);
    ev_loop_destroy(host.loop);
    return status;
}

int
interpreter_run(int argc, char **argv)
{
    struct share share;
    struct start start = {argv[1], argc - 2, argv + 2, &share, EXIT_SUCCESS};

    share_find(&share);
    return begin(&start);
}

int
interpreter_run_command(const char *name, int argc, char **argv,
                        evaluate_fn evaluate)
{
    struct share share;
    char file[PATH_MAX + 64];
    struct start start = {file, argc - 1, argv + 1, &share, EXIT_SUCCESS};

    check_host_use(evaluate);
    share_find(&share);
    (void)snprintf(file, sizeof file, "%s/moongate/command/%s.lua",
                   share.library, name);
    return begin(&start);
}
