#include "lua/clock.h"

#include "base/check.h"
#include "lua/await.h"
#include "lua/spec_clock.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>

#define SLEEP_MAX 3600.

struct sleeper {
    ev_timer timer;
    struct ev_loop *loop;
    struct ticket ticket;
};

static double
seconds(lua_State *L, clockid_t clock)
{
    struct timespec now;

    if (host_of(L) != NULL && spec_clock_rules(host_of(L)->loop))
        return ev_now(host_of(L)->loop);
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double
clock_seconds(lua_State *L)
{
    return seconds(L, CLOCK_MONOTONIC);
}

int
clock_now(lua_State *L)
{
    lua_pushnumber(L, seconds(L, CLOCK_MONOTONIC));
    return 1;
}

int
clock_time(lua_State *L)
{
    lua_pushnumber(L, seconds(L, CLOCK_REALTIME));
    return 1;
}

static void
cancel_sleep(void *op)
{
    struct sleeper *s = op;

    ev_timer_stop(s->loop, &s->timer);
    free(s);
}

static void
on_awake(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct sleeper *s = container_of(timer, struct sleeper, timer);
    struct ticket ticket = s->ticket;

    (void)loop;
    (void)events;
    free(s);
    if (await_done(&ticket) != NULL)
        await_resume(&ticket, 0);
}

int
clock_sleep(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);

    luaL_argcheck(L, seconds >= 0 && seconds <= SLEEP_MAX, 1,
                  "seconds from 0 to 3600");
    int known = await_known(L, "sleep %.3g", seconds);
    if (known >= 0)
        return known;
    struct sleeper *s = xcalloc(1, sizeof *s);
    s->loop = host_of(L)->loop;
    ev_now_update(s->loop);
    ev_timer_init(&s->timer, on_awake, seconds, 0.);
    ev_timer_start(s->loop, &s->timer);
    return await(L, cancel_sleep, s, &s->ticket);
}
