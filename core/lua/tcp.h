/* tcp.h -- a policy's connection: bytes in and out, plain or TLS, one
 * operation at a time.  The Lua side of it is mod_socket.c. */
#pragma once

#include "base/buf.h"
#include "lua/failure.h"
#include "net/dial.h"
#include "net/stream.h"

#define TCP_BUFFER_MAX ((size_t)1 << 20)

enum tcp_doing {
    TCP_NOTHING,
    TCP_CONNECT,
    TCP_SEND,
    TCP_RECEIVE,
    TCP_HANDSHAKE
};

enum tcp_want {
    TCP_LINE,
    TCP_BYTES, /* `want_bytes` of them */
    TCP_ANY,   /* at most `want_bytes`, at least one */
    TCP_ALL,   /* until the peer closes */
    TCP_UNTIL, /* up to `pattern` */
};

enum tcp_state { TCP_READY, TCP_WAIT, TCP_FAILED };

struct tcp {
    struct ev_loop *loop;
    struct dns *dns;
    struct stream stream;
    struct buf in, out;
    ev_io io;
    ev_timer timer;
    struct dial *dial;
    enum tcp_doing doing;
    enum tcp_want want;
    size_t want_bytes;
    struct slice pattern; /* lives as long as the operation */
    bool eof;
    enum failure kind; /* of TCP_FAILED */
    char text[256];
    /* The operation that waited is over; `doing` is still what it was. */
    void (*done)(struct tcp *t, enum tcp_state state);
};

void tcp_init(struct tcp *t, struct ev_loop *loop, struct dns *dns,
              void (*done)(struct tcp *t, enum tcp_state state));
/* Ends any operation, without `done`. */
void tcp_close(struct tcp *t);

/* Each starts one operation: TCP_WAIT means that `done` will be called. */
enum tcp_state tcp_connect(struct tcp *t, const char *host, uint16_t port,
                           double timeout);
enum tcp_state tcp_send(struct tcp *t, double timeout); /* all of `out` */
/* The same while a receive waits: what can't be sent at once fails, and ends the
 * connection, of which the receive hears. */
enum tcp_state tcp_send_now(struct tcp *t);
/* `want` is set; when ready, tcp_take gives the bytes. */
enum tcp_state tcp_receive(struct tcp *t, double timeout);

/* TLS has been started on the stream. */
enum tcp_state tcp_handshake(struct tcp *t, double timeout);

/* Nothing is under way, nothing has come that was not received, and the peer
 * has not closed: another may use the connection. */
bool tcp_is_silent(struct tcp *t);

/* What was wanted: the bytes for the policy, and how many to consume. */
bool tcp_take(const struct tcp *t, struct slice *bytes, size_t *used);
