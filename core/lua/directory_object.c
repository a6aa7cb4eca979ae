#include "lua/directory_object.h"

#include "lua/generation.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/spec_world.h"
#include "lua/vm.h"

#include <stdlib.h>

/* The userdata. */
struct directory_pool {
    struct directory_client *client;
};

static int
pool_gc(lua_State *L)
{
    struct directory_pool *self = lua_touserdata(L, 1);

    directory_client_unref(self->client);
    self->client = NULL;
    return 0;
}

void
directory_class(lua_State *L, const char *metatable, const luaL_Reg *methods)
{
    static const luaL_Reg events[] = {{"__gc", pool_gc}, {NULL, NULL}};

    object_make_type(L, metatable, events, methods);
}

struct directory_client *
directory_push(lua_State *L, const char *metatable)
{
    struct directory_pool *self = lua_newuserdata(L, sizeof *self);

    self->client = NULL;
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    self->client = directory_client_new();
    if (vm_of(L)->generation != NULL)
        self->client->tls.config = vm_of(L)->generation->config;
    return self->client;
}

struct directory_client *
directory_self(lua_State *L, const char *metatable)
{
    const struct directory_pool *self = luaL_checkudata(L, 1, metatable);

    return self->client;
}

static int
half_made_gc(lua_State *L)
{
    struct directory *like = lua_touserdata(L, 1);

    if (like->settings != NULL)
        like->kind->settings_free(like->settings);
    free(like->host);
    *like = (struct directory){0};
    return 0;
}

struct directory *
directory_push_half_made(lua_State *L)
{
    struct directory *like = lua_newuserdata(L, sizeof *like);

    *like = (struct directory){0};
    lua_newtable(L);
    lua_pushcfunction(L, half_made_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return like;
}

static int
push_result(lua_State *L, struct directory_question *q)
{
    if (!q->failed) {
        q->push(L, q);
        return 1;
    }
    await_outcome(&q->ticket, "%s", q->text);
    return failure_push(L, q->kind, "%s: %s", q->client->directory->kind->name,
                        q->text);
}

static void
on_done(struct directory_question *q)
{
    lua_State *L = await_done(&q->ticket);
    int results = L != NULL ? push_result(L, q) : 0;
    struct ticket ticket = q->ticket;

    q->client->directory->kind->question_free(q);
    if (L != NULL)
        await_resume(&ticket, results);
}

static void
on_cancel(void *arg)
{
    struct directory_question *q = arg;
    const struct directory_kind *kind = q->client->directory->kind;

    directory_cancel(q);
    kind->question_free(q);
}

int
directory_await(lua_State *L, struct directory_client *c,
                struct directory_question *q,
                void (*push)(lua_State *L, struct directory_question *q))
{
    q->push = push;
    directory_ask(q, c, time_within(L, c->timeout), on_done);
    return await(L, on_cancel, q, &q->ticket);
}

bool
directory_push_rehearsed(lua_State *L, struct directory_question *q)
{
    if (q->rehearsed == LUA_NOREF)
        return false;
    await_outcome(&q->ticket, "answered");
    spec_world_push(q->client->directory->lasting->loop, q, L);
    return true;
}
