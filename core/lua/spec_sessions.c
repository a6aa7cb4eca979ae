#include "lua/spec_sessions.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/spec_world.h"
#include "lua/values.h"

#define FOREVER 1e9 /* seconds: nobody answers */

static void
put(lua_State *L, const char *name, struct slice text)
{
    if (text.len == 0)
        return;
    lua_pushlstring(L, text.ptr, text.len);
    lua_setfield(L, -2, name);
}

static void
push_question(lua_State *L, const struct session_ask *a)
{
    static const char *const names[] = {SESSION_ASK_FILTERS};

    lua_newtable(L);
    put(L, "what", a->kicks ? S("kick") : S("count"));
    for (size_t i = 0; i < SESSION_ASK_FILTER_COUNT; i++)
        put(L, names[i], a->filters[i]);
    put(L, "except", a->except);
    put(L, "reason", a->reason);
}

static void
on_answer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct session_ask *a = container_of(timer, struct session_ask, limit);

    (void)loop;
    (void)events;
    a->done(a, a->count, a->told ? NULL : "a worker did not answer");
}

/* The answer is told by the loop, never from inside. */
static bool
begin(struct session_asker *by, struct session_ask *a, struct error *err)
{
    struct spec_world *w = container_of(by, struct spec_sessions, asker)->world;
    lua_State *L = spec_world_begin(w, "sessions");
    double delay = FOREVER;

    (void)err;
    push_question(L, a);
    if (spec_world_ask(w, 1)) {
        int table = lua_gettop(L);
        a->told = value_text(L, table, "fail").ptr == NULL;
        a->count = (uint64_t)value_number(L, table, "answer");
        delay = value_number(L, table, "delay");
        lua_pop(L, 1);
    }
    ev_timer_init(&a->limit, on_answer, delay, 0.);
    ev_timer_start(w->loop, &a->limit);
    return true;
}

static void
cancel(struct session_asker *by, struct session_ask *a)
{
    ev_timer_stop(container_of(by, struct spec_sessions, asker)->world->loop,
                  &a->limit);
}

void
spec_sessions_init(struct spec_sessions *s, struct spec_world *world)
{
    s->asker = (struct session_asker){begin, cancel};
    s->world = world;
}
