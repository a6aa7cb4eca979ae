/* stream.h -- bytes in and out of one connection, plain or TLS.
 *
 * A stream owns its descriptor.  Nothing here waits: a call does what it can
 * and says what it needs.  TLS is a second table of functions; see
 * stream_tls.h for how a stream gets it. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#include <sys/uio.h>

enum io {
    IO_DONE,  /* something was moved; `*moved` > 0 */
    IO_AGAIN, /* nothing now; wait for stream_wants */
    IO_EOF,   /* the peer will send no more (read only) */
    IO_ERROR, /* the connection is lost; errno tells */
};

struct stream;
struct tls_link;

struct stream_ops {
    enum io (*read)(struct stream *s, char *into, size_t size, size_t *moved);
    enum io (*write)(struct stream *s, struct slice bytes, size_t *moved);
    enum io (*handshake)(struct stream *s);   /* NULL: none is needed */
    bool (*has_more)(const struct stream *s); /* NULL: never */
    void (*shutdown_write)(struct stream *s);
    void (*close)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops; /* NULL when closed */
    struct tls_link *tls;         /* of the TLS table; NULL for plain */
    int fd;                       /* -1 when closed */
    unsigned wants; /* EV_READ | EV_WRITE that the last IO_AGAIN needs besides
                       the obvious: when it comes, call again what said so.
                       Of a handshake: all it needs.  0 for plain */
};

/* Takes over a connected non-blocking descriptor. */
void stream_open_plain(struct stream *s, int fd);
bool stream_is_open(const struct stream *s);
bool stream_is_plain(const struct stream *s);

/* Goes on with the handshake; IO_DONE once reading and writing may start,
 * and always for a plain stream.  stream_tls.h says more. */
enum io stream_handshake(struct stream *s) MUST_USE;

/* Bytes have come that no event will tell of: read again before waiting.
 * May become true with each stream_read and with the end of a handshake. */
bool stream_has_more(const struct stream *s);

enum io stream_read(struct stream *s, char *into, size_t size,
                    size_t *moved) MUST_USE;
enum io stream_write(struct stream *s, struct slice bytes,
                     size_t *moved) MUST_USE;
/* Says that no more will be written; the other direction stays open. */
void stream_shutdown_write(struct stream *s);
/* TCP_NODELAY and SO_KEEPALIVE: no small write waits for an acknowledgement,
 * and a peer that is gone is noticed.  Nothing to do for a unix socket. */
void stream_tune(const struct stream *s);
/* Closing twice is harmless. */
void stream_close(struct stream *s);
