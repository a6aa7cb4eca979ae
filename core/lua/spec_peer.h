/* spec_peer.h -- the other end of a connection under a spec: a Lua function.
 *
 * It is called with what has arrived, at first with nothing: "".  It returns
 * what is sent back, or nil; after how many seconds; and whether the
 * connection is closed then. */
#pragma once

#include "lua/spec_world.h"

/* The function is on the top of the world's stack, and popped.  The other end
 * of the connection; -1 if there are no descriptors. */
int spec_peer_new(struct spec_world *w);
void spec_peers_free(struct spec_world *w);
