/* spec_gateway.h -- a gateway under a spec: the userdata that
 * lua/moongate/spec.lua drives, and its sessions. */
#pragma once

#include "lua/bundle.h"
#include "lua/generation.h"
#include "lua/spec_sessions.h"
#include "lua/spec_world.h"

struct spec_gateway {
    struct spec_world *world;
    struct host host;
    struct spec_sessions sessions;
    struct lasting *lasting;
    struct bundle *bundle;
    struct generation *generation; /* NULL: closed */
    bool exhausted;                /* its state was full twice in a minute */
};

/* (path of moongate.lua, options, function): a gateway, or nil and all errors.
 * Options: environment, live, disk (no bundle is made).  The function: see spec_world.h. */
int spec_gateway_open(lua_State *L);

/* The gateway at `index`, ready to be used by `L`. */
struct spec_gateway *spec_gateway_check(lua_State *L, int index);

/* (gateway, options): a session, or raises. */
int spec_gateway_session(lua_State *L);
