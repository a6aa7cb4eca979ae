#include "lua/spec_clock.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static struct spec_clock *clocks; /* NULL but in a spec */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,
 * readability-identifier-naming): the names are the linker's. */
void __real_ev_timer_start(struct ev_loop *loop, ev_timer *w);
void __real_ev_timer_stop(struct ev_loop *loop, ev_timer *w);
void __real_ev_timer_again(struct ev_loop *loop, ev_timer *w);
ev_tstamp __real_ev_timer_remaining(struct ev_loop *loop, ev_timer *w);
ev_tstamp __real_ev_now(struct ev_loop *loop);
void __real_ev_now_update(struct ev_loop *loop);
void __wrap_ev_timer_start(struct ev_loop *loop, ev_timer *w);
void __wrap_ev_timer_stop(struct ev_loop *loop, ev_timer *w);
void __wrap_ev_timer_again(struct ev_loop *loop, ev_timer *w);
ev_tstamp __wrap_ev_timer_remaining(struct ev_loop *loop, ev_timer *w);
ev_tstamp __wrap_ev_now(struct ev_loop *loop);
void __wrap_ev_now_update(struct ev_loop *loop);

static struct spec_clock *
clock_of(struct ev_loop *loop)
{
    struct spec_clock *c = clocks;

    while (c != NULL && c->loop != loop)
        c = c->next;
    return c;
}

static void
start(struct spec_clock *c, ev_timer *w, double seconds)
{
    if (c->count == c->room) {
        c->room = c->room > 0 ? 2 * c->room : 16;
        c->timers = realloc(c->timers, c->room * sizeof(*c->timers));
        require(c->timers != NULL);
    }
    w->at = c->now + seconds;
    w->active = 1;
    c->timers[c->count++] = w;
}

/* As with libev, `at` is then what was left. */
static void
stop(struct spec_clock *c, ev_timer *w)
{
    size_t i = 0;

    if (!ev_is_active(w))
        return;
    while (i < c->count && c->timers[i] != w)
        i++;
    require(i < c->count);
    c->count--;
    memmove(&c->timers[i], &c->timers[i + 1],
            (c->count - i) * sizeof(*c->timers));
    w->at -= c->now;
    w->active = 0;
}

void
__wrap_ev_timer_start(struct ev_loop *loop, ev_timer *w)
{
    struct spec_clock *c = clock_of(loop);

    if (c == NULL)
        __real_ev_timer_start(loop, w);
    else if (!ev_is_active(w))
        start(c, w, w->at);
}

void
__wrap_ev_timer_stop(struct ev_loop *loop, ev_timer *w)
{
    struct spec_clock *c = clock_of(loop);

    if (c == NULL) {
        __real_ev_timer_stop(loop, w);
        return;
    }
    (void)ev_clear_pending(loop, w);
    stop(c, w);
}

void
__wrap_ev_timer_again(struct ev_loop *loop, ev_timer *w)
{
    struct spec_clock *c = clock_of(loop);

    if (c == NULL) {
        __real_ev_timer_again(loop, w);
        return;
    }
    (void)ev_clear_pending(loop, w);
    stop(c, w);
    if (w->repeat > 0)
        start(c, w, w->repeat);
}

ev_tstamp
__wrap_ev_timer_remaining(struct ev_loop *loop, ev_timer *w)
{
    struct spec_clock *c = clock_of(loop);

    if (c == NULL)
        return __real_ev_timer_remaining(loop, w);
    return ev_is_active(w) ? w->at - c->now : w->at;
}

ev_tstamp
__wrap_ev_now(struct ev_loop *loop)
{
    struct spec_clock *c = clock_of(loop);

    return c == NULL ? __real_ev_now(loop) : c->now;
}

void
__wrap_ev_now_update(struct ev_loop *loop)
{
    if (clock_of(loop) == NULL)
        __real_ev_now_update(loop);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,
 * readability-identifier-naming) */

bool
spec_clock_rules(struct ev_loop *loop)
{
    return clock_of(loop) != NULL;
}

void
spec_clock_init(struct spec_clock *c, struct ev_loop *loop)
{
    *c = (struct spec_clock){.next = clocks, .loop = loop};
    c->began = c->now = ev_time();
    clocks = c;
}

void
spec_clock_deinit(struct spec_clock *c)
{
    struct spec_clock **at = &clocks;

    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at != NULL)
        *at = c->next;
    free(c->timers);
    *c = (struct spec_clock){0};
}

static ev_timer *
next_timer(const struct spec_clock *c)
{
    ev_timer *first = NULL;

    for (size_t i = 0; i < c->count; i++) {
        if (first == NULL || c->timers[i]->at < first->at)
            first = c->timers[i];
    }
    return first;
}

bool
spec_clock_next(const struct spec_clock *c, ev_tstamp *due)
{
    const ev_timer *w = next_timer(c);

    if (w != NULL)
        *due = w->at;
    return w != NULL;
}

void
spec_clock_step(struct spec_clock *c)
{
    ev_timer *w = next_timer(c);

    require(w != NULL);
    if (w->at > c->now)
        c->now = w->at;
    stop(c, w);
    if (w->repeat > 0)
        start(c, w, w->repeat);
    ev_invoke(c->loop, w, EV_TIMER);
}
