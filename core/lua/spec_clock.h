/* spec_clock.h -- the time of a loop under a spec: it stands still while
 * anything can happen, and then goes to the next timer at once.
 *
 * The timers of such a loop are kept here and not by libev: the linker puts the
 * functions of spec_clock.c in the place of libev's (CMakeLists.txt), and those
 * leave every other loop to libev. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct spec_clock {
    struct spec_clock *next; /* all that there are */
    struct ev_loop *loop;
    ev_tstamp began, now;
    ev_timer **timers; /* running, in the order they were started */
    size_t count, room;
};

/* From now on `loop`, which is new, has this time. */
void spec_clock_init(struct spec_clock *c, struct ev_loop *loop);
void spec_clock_deinit(struct spec_clock *c);

/* When the next timer is due; false: none runs. */
bool spec_clock_next(const struct spec_clock *c, ev_tstamp *due);

/* Goes to the next timer, and calls it. */
void spec_clock_step(struct spec_clock *c);

/* Whether `loop` has a time of its own. */
bool spec_clock_rules(struct ev_loop *loop);
