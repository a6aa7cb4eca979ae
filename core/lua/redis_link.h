/* redis_link.h -- makes a connection that is ready for commands: whom the
 * Sentinels name, TCP, TLS, AUTH, SELECT. */
#pragma once

#include "lua/redis_pool.h"

struct redis_link;

/* `conn` is the callee's; or NULL, and why.  Called once, never from inside
 * redis_link_start and never after redis_link_cancel. */
typedef void (*redis_linked_fn)(void *arg, struct redis_conn *conn,
                                enum failure kind, const char *text);

/* `g` outlives it. */
struct redis_link *redis_link_start(struct redis_group *g, double seconds,
                                    redis_linked_fn done, void *arg);
void redis_link_cancel(struct redis_link *l); /* NULL is fine */

/* Appends one command, of `count` words; false if there is no room. */
bool redis_put_command(struct buf *out, const struct slice *words,
                       size_t count) MUST_USE;
