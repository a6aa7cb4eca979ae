#include "lua/vm.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/core_module.h"
#include "lua/lasting.h"
#include "lua/policy_lua.h"
#include "lua/source.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CPU_BODY    2.0   /* seconds for the body of a file */
#define COUNT_CHECK 10000 /* instructions between two looks at the clock */

#define KEY_CORE   "moongate.core"
#define KEY_CHUNKS "moongate.chunks"

struct vm *
vm_of(lua_State *L)
{
    void *vm;

    (void)lua_getallocf(L, &vm);
    return vm;
}

/* CPU seconds of this thread. */
static double
cpu_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double
vm_spent(const struct vm *vm)
{
    return vm->budget.began == 0 ? 0 : cpu_time() - vm->budget.began;
}

struct counters *
vm_counters(const struct vm *vm)
{
    return vm->host->lasting->counters;
}

static void on_hook(lua_State *L, lua_Debug *activation);

/* After every `count` instructions, and before each line if lines are of
 * interest. */
static void
set_hook(lua_State *L, int count)
{
    bool lines = vm_of(L)->host->line != NULL;

    (void)lua_sethook(L, on_hook, LUA_MASKCOUNT | (lines ? LUA_MASKLINE : 0),
                      count);
}

/* Sticky: once over, every instruction raises, so that no pcall loop in the
 * coroutine outlives it. */
static void
look_at_clock(lua_State *L)
{
    struct vm *vm = vm_of(L);

    if (vm->budget.seconds == 0)
        return;
    /* Reading the clock is a system call; a call too short to get here, as
     * nearly all are, does not need it. */
    if (vm->budget.began == 0)
        vm->budget.began = cpu_time();
    if (!vm->budget.over && vm_spent(vm) < vm->budget.seconds) {
        if (vm->looks_at_once)
            set_hook(L, COUNT_CHECK);
        vm->looks_at_once = false;
        return;
    }
    vm->budget.over = true;
    set_hook(L, 1);
    luaL_error(L, "the CPU budget of this call is used up");
}

static void
on_hook(lua_State *L, lua_Debug *activation)
{
    if (activation->event == LUA_HOOKLINE)
        vm_of(L)->host->line(L, activation);
    else
        look_at_clock(L);
}

/* lua_sethook may be called at any time, even from a signal. */
void
vm_look_soon(struct vm *vm)
{
    if (vm->budget.seconds == 0)
        return;
    vm->looks_at_once = true;
    set_hook(vm->L, 1);
}

void
vm_check_budget(lua_State *L)
{
    if (vm_of(L)->looks_at_once)
        look_at_clock(L);
}

static void
on_churn(struct memory *m)
{
    vm_look_soon(container_of(m, struct vm, memory));
}

struct budget
vm_enter(struct vm *vm, double seconds)
{
    struct budget outer = vm->budget;

    vm->budget = (struct budget){.seconds = vm->open ? 0 : seconds};
    vm->memory.capped = !vm->open;
    return outer;
}

void
vm_leave(struct vm *vm, struct budget outer)
{
    bool over = vm->budget.over;

    vm->budget = outer;
    vm->memory.capped = outer.seconds != 0;
    if (over)
        set_hook(vm->L, outer.over ? 1 : COUNT_CHECK);
    gc_look(vm);
}

void
vm_core(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, KEY_CORE);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* Long chunk names are cut in messages; remembers the whole ones. */
static void
remember_chunk(lua_State *L, struct slice path)
{
    if (path.len < LUA_IDSIZE - 1)
        return;
    lua_getfield(L, LUA_REGISTRYINDEX, KEY_CHUNKS);
    lua_pushlstring(L, path.ptr, path.len);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* So that an error can name the line of a key. */
static void
remember_text(lua_State *L, const struct source_file *file)
{
    lua_getfield(L, LUA_REGISTRYINDEX, KEY_CHUNKS);
    lua_pushlstring(L, file->path.ptr, file->path.len);
    lua_pushlstring(L, file->bytes.ptr, file->bytes.len);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void
vm_text(lua_State *L, const char *path)
{
    lua_getfield(L, LUA_REGISTRYINDEX, KEY_CHUNKS);
    lua_getfield(L, -1, path);
    lua_remove(L, -2);
}

static bool
is_configuration(enum bundle_kind kind)
{
    return kind == BUNDLE_CONFIG || kind == BUNDLE_OVERLAY;
}

/* Gives the function on the top the environment of its kind.  The prelude has
 * none yet. */
static void
set_environment(lua_State *L, enum bundle_kind kind)
{
    vm_core(L, is_configuration(kind) ? "config_environment" : "environment");
    if (lua_istable(L, -1))
        (void)lua_setfenv(L, -2);
    else
        lua_pop(L, 1);
}

int
vm_compile(lua_State *L, enum bundle_kind kind, const struct source_file *file)
{
    bool is_text =
        file->bytes.len == 0 || file->bytes.ptr[0] != LUA_SIGNATURE[0];

    remember_chunk(L, file->path);
    if (is_configuration(kind))
        remember_text(L, file);
    lua_pushnil(L);
    lua_pushliteral(L, "@");
    lua_pushlstring(L, file->path.ptr, file->path.len);
    lua_concat(L, 2);
    if (!is_text) {
        (void)lua_pushfstring(L, "%s:1: bytecode is not allowed",
                              lua_tostring(L, -1) + 1);
        lua_remove(L, -2);
        return 2;
    }
    int status = luaL_loadbufferx(L, file->bytes.ptr, file->bytes.len,
                                  lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    if (status != 0) {
        (void)vm_error_text(L, -1);
        lua_remove(L, -2);
        return 2;
    }
    lua_remove(L, -2);
    if (!vm_of(L)->open)
        set_environment(L, kind);
    return 1;
}

bool
vm_call(struct vm *vm, int nargs, int results)
{
    struct budget outer = vm_enter(vm, CPU_BODY);

    vm->top_level++;
    int status = lua_pcall(vm->L, nargs, results, 0);
    vm->top_level--;
    vm_leave(vm, outer);
    if (status != 0) {
        (void)vm_error_text(vm->L, -1);
        lua_remove(vm->L, -2);
    }
    return status == 0;
}

/* Pushes "/whole/path.lua:1: ..." for "...path.lua:1: ...", if known. */
static bool
push_whole_name(lua_State *L, const char *text)
{
    const char *colon = strchr(text, ':');
    struct slice cut;
    bool found = false;

    if (strncmp(text, "...", 3) != 0 || colon == NULL)
        return false;
    cut = (struct slice){text + 3, (size_t)(colon - text) - 3};
    lua_getfield(L, LUA_REGISTRYINDEX, KEY_CHUNKS);
    for (int i = (int)lua_objlen(L, -1); i > 0 && !found; i--) {
        struct slice path;
        lua_rawgeti(L, -1, i);
        path.ptr = lua_tolstring(L, -1, &path.len);
        found = slice_drop_suffix(&path, cut);
        if (found)
            (void)lua_pushfstring(L, "%s%s", lua_tostring(L, -1), colon);
        lua_remove(L, found ? -2 : -1);
    }
    lua_remove(L, found ? -2 : -1);
    return found;
}

const char *
vm_error_text(lua_State *L, int index)
{
    if (index < 0)
        index += lua_gettop(L) + 1;
    if (lua_type(L, index) == LUA_TSTRING) {
        if (!push_whole_name(L, lua_tostring(L, index)))
            lua_pushvalue(L, index);
    } else if (luaL_callmeta(L, index, "__tostring") == 0) {
        (void)lua_pushfstring(L, "(an error that is a %s)",
                              luaL_typename(L, index));
    } else if (!lua_isstring(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "(an error without a text)");
    }
    return lua_tostring(L, -1);
}

static int
panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);

    log_error("Lua error outside of any call: %s", text ? text : "?");
    abort();
}

static const luaL_Reg libraries[] = {
    {"", luaopen_base},
    {LUA_TABLIBNAME, luaopen_table},
    {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math},
    {LUA_BITLIBNAME, luaopen_bit},
    {LUA_OSLIBNAME, luaopen_os},
    {LUA_DBLIBNAME, luaopen_debug},
    {NULL, NULL},
};

static void
open_libraries(lua_State *L, bool all)
{
    if (all) {
        luaL_openlibs(L);
        return;
    }
    for (const luaL_Reg *l = libraries; l->func != NULL; l++) {
        lua_pushcfunction(L, l->func);
        lua_pushstring(L, l->name);
        lua_call(L, 1, 0);
    }
}

/* Argument: struct source_file of the prelude. Protected. */
static int
set_up(lua_State *L)
{
    struct vm *vm = vm_of(L);
    const struct source_file *prelude = lua_touserdata(L, 1);

    open_libraries(L, vm->open);
    (void)luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, KEY_CHUNKS);
    core_module_push(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, KEY_CORE);
    if (vm_compile(L, BUNDLE_MODULE, prelude) != 1)
        return lua_error(L);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    if (!vm->open)
        set_hook(L, COUNT_CHECK);
    return 0;
}

struct vm *
vm_new(const struct host *host, struct source *source, bool open,
       struct error *err)
{
    struct source_file prelude;

    if (!source->find(source, BUNDLE_MODULE, S("moongate.prelude"), &prelude,
                      err))
        return NULL;
    struct vm *vm = xcalloc(1, sizeof *vm);
    vm->memory.cap = VM_MEMORY_MAX;
    vm->memory.churned = on_churn;
    vm->host = host;
    vm->source = source;
    vm->open = open;
    list_init(&vm->calls);
    list_init(&vm->timers);
    list_init(&vm->subscriptions);
    vm->serving = open;
    vm->L = lua_newstate(memory_allocate, vm);
    require(vm->L != NULL);
    (void)lua_atpanic(vm->L, panic);
    if (lua_cpcall(vm->L, set_up, &prelude) != 0) {
        error_set(err, "%s", lua_tostring(vm->L, -1));
        vm_free(vm);
        return NULL;
    }
    if (!open)
        gc_init(vm);
    return vm;
}

void
vm_end_background(struct vm *vm)
{
    struct list *l = vm->calls.next;

    while (l != &vm->calls) {
        struct call *c = container_of(l, struct call, link);
        l = l->next;
        if (!c->background)
            continue;
        call_expire(c);
        l = vm->calls.next; /* its children have gone too */
    }
}

void
vm_end_calls(struct vm *vm)
{
    vm->closing = true;
    while (!list_is_empty(&vm->calls))
        call_expire(container_of(vm->calls.next, struct call, link));
}

void
vm_free(struct vm *vm)
{
    if (vm == NULL)
        return;
    vm_end_calls(vm);
    vm->memory.capped = false;
    gc_deinit(vm);
    lua_close(vm->L);
    free(vm);
}
