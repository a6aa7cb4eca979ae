#include "lua/spec_world.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/directory.h"
#include "lua/http_client.h"
#include "lua/policy_lua.h"
#include "lua/spec_peer.h"
#include "lua/threads.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whatever may be in the way of a descriptor, a spec starts none. */
static const struct dns_options nowhere = {.servers = "127.0.0.1:1"};

static struct spec_world *
world_of(struct stand_in *in)
{
    return container_of(in, struct spec_world, stand_in);
}

/* Keeps what went wrong first. */
static void
set_trouble(struct spec_world *w, const char *text)
{
    if (w->trouble == NULL)
        w->trouble = xstrndup(text, strlen(text));
}

bool
spec_world_call(struct spec_world *w, int nargs, int results)
{
    lua_State *L = w->L;

    if (lua_pcall(L, nargs, results, 0) == 0)
        return true;
    set_trouble(w, lua_isstring(L, -1) ? lua_tostring(L, -1)
                                       : "an error that is no text");
    lua_pop(L, 1);
    return false;
}

lua_State *
spec_world_begin(struct spec_world *w, const char *kind)
{
    luaL_checkstack(w->L, LUA_MINSTACK, "spec");
    lua_rawgeti(w->L, LUA_REGISTRYINDEX, w->answer);
    lua_pushstring(w->L, kind);
    return w->L;
}

bool
spec_world_ask(struct spec_world *w, int nargs)
{
    if (!spec_world_call(w, nargs + 1, 1))
        return false;
    if (!lua_isnil(w->L, -1))
        return true;
    lua_pop(w->L, 1);
    return false;
}

/* Its texts are wanted until the next one. */
static void
keep_answer(lua_State *L)
{
    lua_setfield(L, LUA_REGISTRYINDEX, "moongate.spec.answer");
}

/* --- the network --- */

static enum dial_status
dial_status_of(const char *failure)
{
    return strcmp(failure, "connect") == 0 ? DIAL_REFUSED
           : strcmp(failure, "dns") == 0   ? DIAL_DNS
                                           : DIAL_FAILED;
}

static void
dial(struct stand_in *in, const struct dial_request *request,
     struct stand_in_dial *end)
{
    struct spec_world *w = world_of(in);
    lua_State *L = spec_world_begin(w, "dial");

    lua_pushstring(L, request->host);
    lua_pushinteger(L, request->port);
    lua_pushstring(L, request->what);
    end->silent = true;
    if (!spec_world_ask(w, 3))
        return;
    end->silent = false;
    if (lua_isfunction(L, -1)) {
        end->fd = spec_peer_new(w);
        end->status = end->fd >= 0 ? DIAL_OK : DIAL_FAILED;
        return;
    }
    const char *failure = lua_tostring(L, -1);
    end->silent = failure == NULL || strcmp(failure, "timeout") == 0;
    if (!end->silent)
        end->status = dial_status_of(failure);
    lua_pop(L, 1);
}

static enum dns_status
dns_status_of(struct slice failure, size_t count)
{
    if (failure.ptr == NULL)
        return count > 0 ? DNS_OK : DNS_NOT_FOUND;
    return slice_equal(failure, S("timeout")) ? DNS_TIMEOUT : DNS_FAILED;
}

static void
lookup(struct stand_in *in, const struct dns_question *asked,
       struct stand_in_lookup *found)
{
    struct spec_world *w = world_of(in);
    lua_State *L = spec_world_begin(w, "dns");
    size_t max = sizeof found->records / sizeof found->records[0];

    lua_pushstring(L, asked->name);
    lua_pushstring(L, asked->type);
    found->silent = true;
    if (!spec_world_ask(w, 2))
        return;
    int table = lua_gettop(L);
    struct slice failure = value_text(L, table, "fail");
    found->silent = slice_equal(failure, S("timeout"));
    found->delay = value_number(L, table, "delay");
    while (found->count < max) {
        struct slice *record = &found->records[found->count];
        lua_rawgeti(L, table, (int)found->count + 1);
        record->ptr = lua_tolstring(L, -1, &record->len);
        lua_pop(L, 1); /* the table keeps it */
        if (record->ptr == NULL)
            break;
        found->count++;
    }
    found->status = dns_status_of(failure, found->count);
    keep_answer(L);
}

static void
push_query(lua_State *L, const struct http_query *query)
{
    struct slice body = buf_bytes(&query->body);
    char *url = NULL;
    int n = 0;

    lua_newtable(L);
    lua_pushstring(L, query->method);
    lua_setfield(L, -2, "method");
    if (curl_url_get(query->url, CURLUPART_URL, &url, 0) == CURLUE_OK) {
        lua_pushstring(L, url);
        lua_setfield(L, -2, "url");
    }
    curl_free(url);
    lua_newtable(L);
    for (struct curl_slist *h = query->headers; h != NULL; h = h->next) {
        lua_pushstring(L, h->data);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "lines");
    if (query->has_body) {
        lua_pushlstring(L, body.len > 0 ? body.ptr : "", body.len);
        lua_setfield(L, -2, "body");
    }
}

static enum failure
failure_of(struct slice name)
{
    for (int i = FAILURE_TIMEOUT; name.ptr && i <= FAILURE_CANCELLED; i++) {
        if (slice_equal(name, slice_of(failure_name((enum failure)i))))
            return (enum failure)i;
    }
    return FAILURE_PROTOCOL;
}

/* { status, head, body, delay } or { fail, text, delay }. */
static void
answer_http(lua_State *L, struct spec_http *answer)
{
    int table = lua_gettop(L);
    struct slice failure = value_text(L, table, "fail");
    struct slice text = value_text(L, table, "text");

    answer->delay = value_number(L, table, "delay");
    answer->silent = slice_equal(failure, S("timeout"));
    answer->ok = failure.ptr == NULL;
    answer->kind = failure_of(failure);
    (void)snprintf(answer->text, sizeof answer->text, "%.*s", (int)text.len,
                   text.ptr != NULL ? text.ptr : "");
    answer->status = (unsigned)value_number(L, table, "status");
    answer->head = value_text(L, table, "head");
    answer->body = value_text(L, table, "body");
}

void
spec_world_http(struct ev_loop *loop, const struct http_query *query,
                struct spec_http *answer)
{
    struct spec_world *w = world_of(stand_in_of(loop));
    lua_State *L = spec_world_begin(w, "http");

    push_query(L, query);
    answer->silent = true;
    if (!spec_world_ask(w, 1))
        return;
    answer_http(L, answer);
    keep_answer(L);
}

double
spec_world_directory(struct ev_loop *loop, const struct directory_kind *kind,
                     struct directory_question *q)
{
    struct spec_world *w = world_of(stand_in_of(loop));
    lua_State *L = spec_world_begin(w, kind->name);

    kind->tell(q, L);
    if (!spec_world_ask(w, 1))
        return -1;
    int table = lua_gettop(L);
    struct slice failure = value_text(L, table, "fail");
    struct slice text = value_text(L, table, "text");
    double delay = value_number(L, table, "delay");
    if (slice_equal(failure, S("timeout")))
        delay = -1;
    else if (failure.ptr != NULL)
        directory_fail(q, failure_of(failure), "%.*s", (int)text.len,
                       text.ptr != NULL ? text.ptr : "");
    lua_getfield(L, table, "answer");
    q->rehearsed = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    return delay;
}

/* Plain data: texts, numbers, booleans and tables of them. */
static void
push_copy(lua_State *from, int index, lua_State *to, int depth)
{
    struct slice text;

    luaL_checkstack(from, 4, "spec");
    luaL_checkstack(to, 4, "spec");
    if (lua_type(from, index) == LUA_TSTRING) {
        text.ptr = lua_tolstring(from, index, &text.len);
        lua_pushlstring(to, text.ptr, text.len);
    } else if (lua_type(from, index) == LUA_TNUMBER) {
        lua_pushnumber(to, lua_tonumber(from, index));
    } else if (lua_isboolean(from, index)) {
        lua_pushboolean(to, lua_toboolean(from, index));
    } else if (lua_istable(from, index) && depth > 0) {
        lua_newtable(to);
        lua_pushnil(from);
        while (lua_next(from, index) != 0) {
            int value = lua_gettop(from);
            push_copy(from, value - 1, to, 0);
            push_copy(from, value, to, depth - 1);
            lua_rawset(to, -3);
            lua_pop(from, 1);
        }
    } else {
        lua_pushnil(to);
    }
}

void
spec_world_push(struct ev_loop *loop, struct directory_question *q,
                lua_State *to)
{
    lua_State *L = world_of(stand_in_of(loop))->L;

    if (to != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, q->rehearsed);
        push_copy(L, lua_gettop(L), to, 4);
        lua_pop(L, 1);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, q->rehearsed);
    q->rehearsed = LUA_NOREF;
}

void
spec_world_note_hook(struct spec_world *w, const char *hook, const char *kind)
{
    lua_State *L = spec_world_begin(w, "hook");

    lua_pushstring(L, hook);
    lua_pushstring(L, kind);
    if (spec_world_ask(w, 2))
        lua_pop(L, 1);
}

/* --- the loop --- */

static void
invoke(struct ev_loop *loop)
{
    world_of(stand_in_of(loop))->invoked += ev_pending_count(loop);
    ev_invoke_pending(loop);
}

struct spec_world *
spec_world_new(lua_State *L, int index, const struct host *host, bool live)
{
    struct spec_world *w = xcalloc(1, sizeof *w);
    struct error err;

    list_init(&w->peers);
    w->live = live;
    w->L = L;
    lua_pushvalue(L, index);
    w->answer = luaL_ref(L, LUA_REGISTRYINDEX);
    if (live) {
        w->loop = host->loop;
        w->dns = host->dns;
        return w;
    }
    w->stand_in = (struct stand_in){dial, lookup};
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    require(w->loop != NULL);
    ev_set_userdata(w->loop, &w->stand_in);
    ev_set_invoke_pending_cb(w->loop, invoke);
    spec_clock_init(&w->clock, w->loop);
    w->dns = dns_new(w->loop, &nowhere, &err);
    require(w->dns != NULL);
    return w;
}

void
spec_world_free(struct spec_world *w)
{
    if (w == NULL)
        return;
    spec_peers_free(w);
    luaL_unref(w->L, LUA_REGISTRYINDEX, w->answer);
    if (!w->live) {
        dns_free(w->dns);
        threads_leave(w->loop);
        spec_clock_deinit(&w->clock);
        ev_loop_destroy(w->loop);
    }
    free(w->trouble);
    free(w);
}

void
spec_world_enter(struct spec_world *w, lua_State *L)
{
    w->L = L;
    if (w->live)
        ev_now_update(w->loop);
}

/* True if something happened by itself, now. */
static bool
happens(struct spec_world *w)
{
    w->invoked = 0;
    (void)ev_run(w->loop, EVRUN_NOWAIT);
    if (w->invoked == 0 && threads_are_busy(w->loop))
        (void)ev_run(w->loop, EVRUN_ONCE);
    return w->invoked > 0;
}

bool
spec_world_step(struct spec_world *w)
{
    ev_tstamp due;

    if (w->trouble != NULL)
        return false;
    if (w->live) {
        (void)ev_run(w->loop, EVRUN_ONCE);
        return true;
    }
    if (happens(w))
        return true;
    if (!spec_clock_next(&w->clock, &due))
        return false;
    spec_clock_step(&w->clock);
    return true;
}

void
spec_world_pause(struct spec_world *w, double seconds)
{
    ev_tstamp until = w->clock.now + seconds, due;

    if (w->live)
        return;
    while (w->trouble == NULL) {
        if (happens(w))
            continue;
        if (!spec_clock_next(&w->clock, &due) || due > until)
            break;
        spec_clock_step(&w->clock);
    }
    w->clock.now = until;
}

void
spec_world_raise(struct spec_world *w, lua_State *L)
{
    if (w->trouble == NULL)
        return;
    lua_pushstring(L, w->trouble);
    free(w->trouble);
    w->trouble = NULL;
    (void)lua_error(L);
}
