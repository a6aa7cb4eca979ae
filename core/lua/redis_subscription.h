/* redis_subscription.h -- messages that a Redis server publishes, as the
 * method `subscribe` of a pool.
 *
 * A subscription belongs to the generation that made it: it listens while that
 * serves, over a connection of its own that is made again when it is lost.
 * Messages are given to the policy's function one after the other, each in a
 * coroutine of its own that may wait. */
#pragma once

#include "lua/redis_pool.h"

#include <lua.h>

struct vm;

/* subscribe(channels, fn, options): pushes the handle. */
int redis_subscribe(lua_State *L, struct redis_group *g);

/* Those that there are, and those made from now on. */
void redis_subscriptions_start(struct vm *vm);

/* Ends all of them for good. */
void redis_subscriptions_stop(struct vm *vm);
