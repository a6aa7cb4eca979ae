/* side.h -- one of the two connections of a session: its bytes and watcher. */
#pragma once

#include "session/session.h"

/* Reads once into `into` and records eof or breakage. */
void side_fill(struct side *side, struct buf *into);

/* Writes from `out` until it is empty or the peer takes no more; true when it
 * is empty.  A lost connection sets `broken` and empties it. */
bool side_flush(struct side *side, struct buf *out);

/* Does what was put off when the connection was made.  Most connections are
 * over before they need it. */
void side_tune(struct side *side);

void side_close(struct side *side, struct ev_loop *loop);

/* Prepares the watcher of a fresh descriptor. */
void session_client_open(struct session *s, int fd);
void session_upstream_open(struct session *s, const struct stream *stream);

/* Reads what TLS has decrypted already; true if that gave anything new. */
bool session_take_more(struct session *s);

/* Arms the watchers that the phase and the buffers call for, and no others. */
void session_watch(struct session *s);
