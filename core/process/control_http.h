/* control_http.h -- HTTP/1.1 on the control socket.
 *
 * libmicrohttpd reads requests and frames answers, on our loop and on its own
 * epoll descriptor.  An answer is written bit by bit, as the workers give it;
 * meanwhile its connection is suspended. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#include <ev.h>
#include <sys/types.h>

struct control_http;
struct exchange; /* one request and its answer */

struct control_http_host {
    struct ev_loop *loop;
    int socket; /* listens; becomes the server's */
    /* A request is whole: begin to answer now or later. */
    void (*begin)(void *arg, struct exchange *x);
    /* All that was written has gone out: more is welcome. */
    void (*drained)(void *arg, struct exchange *x);
    /* It is over, whether it was answered or not; last call. */
    void (*gone)(void *arg, struct exchange *x);
    void *arg;
};

struct control_http *control_http_new(const struct control_http_host *host,
                                      struct error *err);
/* Breaks off what is not answered yet. */
void control_http_free(struct control_http *h);

/* --- the request --- */

const char *exchange_method(const struct exchange *x);
const char *exchange_path(const struct exchange *x);
struct slice exchange_body(const struct exchange *x);
/* Calls `each` for every `name=value` behind the path until it says false. */
void exchange_each_query(struct exchange *x,
                         bool (*each)(void *arg, struct slice name,
                                      struct slice value),
                         void *arg);
/* The user at the other end. */
uid_t exchange_uid(const struct exchange *x);

/* What the caller keeps with it. */
void exchange_set_state(struct exchange *x, void *state);
void *exchange_state(const struct exchange *x);

/* --- the answer --- */

/* First, once.  `type` is constant text. */
void exchange_start(struct exchange *x, unsigned status, const char *type);
/* What is more than its memory breaks off the answer. */
void exchange_write(struct exchange *x, struct slice bytes);
void exchange_printf(struct exchange *x, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void exchange_finish(struct exchange *x);
/* Breaks it off: what came so far is not all. */
void exchange_abort(struct exchange *x);

/* Bytes that the client has not taken yet. */
size_t exchange_waiting(const struct exchange *x);
bool exchange_is_started(const struct exchange *x);
