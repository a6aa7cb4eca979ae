/* message.h -- what the gateway's processes say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socketpair, so it arrives
 * whole or not at all.  Its type, its length and the number of descriptors it
 * carries are checked before anything in it is read; fields are read in the
 * order they were put, and reading past the end marks the message bad instead
 * of failing each time: check `message_is_whole` once, after the last field. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#define MESSAGE_MAX     16384 /* bytes of fields */
#define MESSAGE_FDS_MAX 3

enum message_type {
#define MESSAGE(name, fds) MESSAGE_##name,
#include "process/messages.def"
#undef MESSAGE
    MESSAGE_COUNT
};

struct message {
    enum message_type type;
    int fds[MESSAGE_FDS_MAX]; /* -1 once taken; borrowed when sending */
    size_t len;               /* bytes of body */
    size_t at;                /* next field to read */
    bool bad;                 /* a field did not fit, or was not there */
    char body[MESSAGE_MAX];
};

enum receive {
    RECEIVE_DONE,
    RECEIVE_AGAIN, /* nothing there now */
    RECEIVE_EOF,   /* the other process has gone */
    RECEIVE_BAD,   /* not one of our messages: trust nothing more of it */
};

const char *message_name(enum message_type type);

/* --- writing --- */
void message_init(struct message *m, enum message_type type);
void message_put_u64(struct message *m, uint64_t value);
void message_put_i64(struct message *m, int64_t value);
void message_put_double(struct message *m, double value);
void message_put_text(struct message *m, struct slice text);

enum send {
    SEND_DONE,
    SEND_FULL,   /* no room now: wait for EV_WRITE */
    SEND_FAILED, /* never: the other process has gone, or `m` is too long */
};

/* Sends without waiting.  The descriptors stay the caller's.  Each type must
 * carry just as many as messages.def says. */
bool message_send(int fd, const struct message *m, struct error *err) MUST_USE;
/* The same for those who can wait for room. */
enum send message_try(int fd, const struct message *m) MUST_USE;
/* The same, but waits for room as long as the socket's SO_SNDTIMEO. */
bool message_send_wait(int fd, const struct message *m,
                       struct error *err) MUST_USE;

/* --- reading --- */

/* Receives one message; waits for it if `wait`.  Descriptors that came are
 * the message's until taken: follow RECEIVE_DONE by message_deinit. */
enum receive message_receive(int fd, bool wait, struct message *m) MUST_USE;
uint64_t message_get_u64(struct message *m);
int64_t message_get_i64(struct message *m);
double message_get_double(struct message *m);
/* Borrows from the message. */
struct slice message_get_text(struct message *m);
/* The descriptor becomes the caller's. */
int message_take_fd(struct message *m, size_t i);
/* Whether every field was there and none is left over. */
bool message_is_whole(const struct message *m);
/* Closes descriptors that nobody took. */
void message_deinit(struct message *m);
