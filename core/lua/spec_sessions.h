/* spec_sessions.h -- whom `moongate.sessions` asks under a spec: the function
 * of its world, see spec_world.h. */
#pragma once

#include "lua/session_ask.h"

struct spec_world;

struct spec_sessions {
    struct session_asker asker;
    struct spec_world *world;
};

void spec_sessions_init(struct spec_sessions *s, struct spec_world *world);
