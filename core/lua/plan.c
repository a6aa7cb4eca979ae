/* plan.c -- what the supervisor needs of a configuration. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/certificates.h"
#include "lua/config.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *
text_of(lua_State *L, int table, const char *name)
{
    struct slice text = value_text(L, table, name);

    return text.ptr == NULL ? NULL : xstrndup(text.ptr, text.len);
}

static unsigned
online_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

static enum log_level
level_of(struct slice name)
{
    return slice_equal(name, S("error"))   ? LOG_ERROR
           : slice_equal(name, S("warn"))  ? LOG_WARN
           : slice_equal(name, S("debug")) ? LOG_DEBUG
                                           : LOG_INFO;
}

/* One more place, on the top; the text so far is below it. */
static void
add_log_target(lua_State *L, int from, enum log_level level, struct plan *plan)
{
    (void)lua_pushfstring(L, "%d %s\n", (int)level,
                          value_text(L, from, "target").ptr);
    lua_concat(L, 2);
    if (level > plan->log_level)
        plan->log_level = level;
}

static void
plan_log(lua_State *L, int log, struct plan *plan)
{
    enum log_level level = level_of(value_text(L, log, "level"));

    plan->log_level = level;
    lua_getfield(L, log, "also");
    int also = lua_gettop(L);
    lua_pushliteral(L, "");
    add_log_target(L, log, level, plan);
    for (int i = 1; i <= (int)lua_objlen(L, also); i++) {
        lua_rawgeti(L, also, i);
        lua_insert(L, -2);
        struct slice own = value_text(L, lua_gettop(L) - 1, "level");
        add_log_target(L, lua_gettop(L) - 1,
                       own.len > 0 ? level_of(own) : level, plan);
        lua_remove(L, -2);
    }
    plan->log_targets = xstrndup(lua_tostring(L, -1), lua_objlen(L, -1));
    lua_settop(L, also - 1);
}

/* The section is optional. */
static void
plan_control(lua_State *L, int index, struct plan *plan)
{
    lua_getfield(L, index, "control");
    int control = lua_gettop(L);
    if (lua_istable(L, control)) {
        struct slice path = value_text(L, control, "socket");
        (void)lua_pushfstring(L, "unix:%s", path.ptr);
        plan->control = xstrndup(lua_tostring(L, -1), lua_objlen(L, -1));
        plan->control_socket.mode =
            (int)strtol(value_text(L, control, "mode").ptr, NULL, 8);
        plan->control_owner = text_of(L, control, "owner");
        plan->control_group = text_of(L, control, "group");
    }
    lua_settop(L, control - 1);
}

void
plan_add_dict(struct plan *p, struct slice name, size_t size)
{
    struct plan_dict *dicts = xcalloc(p->dict_count + 1, sizeof *dicts);

    if (p->dict_count > 0)
        memcpy(dicts, p->dicts, p->dict_count * sizeof *dicts);
    free(p->dicts);
    p->dicts = dicts;
    dicts[p->dict_count++] =
        (struct plan_dict){xstrndup(name.ptr, name.len), size};
}

static void
forget_dicts(struct plan *p)
{
    for (size_t i = 0; i < p->dict_count; i++)
        free(p->dicts[i].name);
    free(p->dicts);
}

void
plan_build(lua_State *L, int index, const struct config *config,
           struct plan *plan)
{
    *plan = (struct plan){
        .workers = (unsigned)value_number(L, index, "workers"),
        .user = text_of(L, index, "user"),
        .group = text_of(L, index, "group"),
        .pid_file = text_of(L, index, "pid_file"),
        .descriptors = (unsigned)value_number(L, index, "descriptors"),
        .shutdown_timeout = config->shutdown_timeout,
        .watch = value_flag(L, index, "watch"),
        .canary_init = value_flag(L, index, "canary_init"),
        .listener_count = config->listener_count,
        .valid = config->resolver.valid,
    };
    const char *servers = config->resolver.servers;
    if (servers != NULL)
        plan->resolver = xstrndup(servers, strlen(servers));
    if (plan->workers == 0)
        plan->workers = online_cores();

    lua_getfield(L, index, "log");
    int log = lua_gettop(L);
    plan->log_format = slice_equal(value_text(L, log, "format"), S("json"))
                           ? LOG_JSON
                           : LOG_TEXT;
    plan_log(L, log, plan);
    lua_pop(L, 1);

    plan_control(L, index, plan);
    plan->listeners = xcalloc(plan->listener_count, sizeof *plan->listeners);
    for (size_t i = 0; i < plan->listener_count; i++) {
        const struct listener_config *from = &config->listeners[i];
        plan->listeners[i] = (struct plan_listener){
            .name = xstrndup(from->name.ptr, from->name.len),
            .address = xstrndup(from->address.ptr, from->address.len),
            .socket = from->socket,
        };
    }
    for (size_t i = 0; i < config->dict_count; i++) {
        const struct dict_config *d = &config->dicts[i];
        if (d->size > 0) /* those in Redis are no memory of the supervisor's */
            plan_add_dict(plan, d->name, d->size);
    }
}

void
plan_files_add(struct plan_files *files, struct slice path,
               const struct file_stamp *stamp)
{
    struct plan_file *all = xcalloc(files->count + 1, sizeof *all);

    if (files->count > 0)
        memcpy(all, files->all, files->count * sizeof *all);
    free(files->all);
    files->all = all;
    all[files->count++] =
        (struct plan_file){xstrndup(path.ptr, path.len), *stamp};
}

void
plan_files_forget(struct plan_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->all[i].path);
    free(files->all);
    *files = (struct plan_files){0};
}

void
plan_add_staple(struct plan *p, const struct plan_staple *staple)
{
    struct plan_staple *staples = xcalloc(p->staple_count + 1, sizeof *staples);

    if (p->staple_count > 0)
        memcpy(staples, p->staples, p->staple_count * sizeof *staples);
    free(p->staples);
    p->staples = staples;
    staples[p->staple_count++] = *staple;
}

void
plan_add_staples(struct plan *p, const struct certificates *c)
{
    for (const struct own_certificate *o = c->first; o != NULL; o = o->next) {
        if (!o->stapling || *o->responder == '\0' ||
            !certificates_is_first(c, o))
            continue;
        plan_add_staple(p, &(struct plan_staple){
                               xstrndup(o->name, strlen(o->name)),
                               xstrndup(o->responder, strlen(o->responder)),
                               xstrndup(o->chain, o->chain_len),
                               o->facts.must_staple,
                           });
    }
}

void
plan_forget_staples(struct plan *p)
{
    for (size_t i = 0; i < p->staple_count; i++) {
        free(p->staples[i].name);
        free(p->staples[i].responder);
        free(p->staples[i].chain);
    }
    free(p->staples);
    p->staples = NULL;
    p->staple_count = 0;
}

void
plan_deinit(struct plan *p)
{
    plan_files_forget(&p->tls);
    plan_files_forget(&p->sources);
    plan_forget_staples(p);
    forget_dicts(p);
    for (size_t i = 0; i < p->listener_count; i++) {
        free(p->listeners[i].name);
        free(p->listeners[i].address);
    }
    free(p->listeners);
    free(p->user);
    free(p->group);
    free(p->pid_file);
    free(p->log_targets);
    free(p->resolver);
    free(p->control);
    free(p->control_owner);
    free(p->control_group);
    *p = (struct plan){0};
}
