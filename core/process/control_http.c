#include "process/control_http.h"

#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 64U
#define SILENCE_MAX     30U /* seconds without a byte, unless it is our turn */
#define HEAD_MAX        ((size_t)32 * 1024)
#define BODY_MAX        ((size_t)16 * 1024)
#define ANSWER_MAX      ((size_t)64 * 1024 * 1024)
#define BLOCK           ((size_t)32 * 1024)
#define PATH_MAX_LEN    256
#define SWEEP           0.5 /* seconds between looks for clients that left */

struct control_http {
    struct control_http_host host;
    struct MHD_Daemon *daemon;
    ev_io io;
    ev_timer timer; /* libmicrohttpd's */
    ev_timer sweep;
    struct list all;
};

struct exchange {
    struct list link;
    struct control_http *home;
    struct MHD_Connection *connection;
    char method[16], path[PATH_MAX_LEN];
    struct buf body, answer;
    void *state;
    unsigned status; /* 0: the answer has not begun */
    const char *type;
    bool begun;     /* the request is whole */
    bool complete;  /* the answer is */
    bool suspended; /* it is for us to go on */
    bool broken;
};

/* --- the loop --- */

static void
run(struct control_http *h)
{
    MHD_UNSIGNED_LONG_LONG milliseconds;

    (void)MHD_run(h->daemon);
    ev_timer_stop(h->host.loop, &h->timer);
    if (MHD_get_timeout(h->daemon, &milliseconds) != MHD_YES)
        return;
    ev_timer_set(&h->timer, (double)milliseconds / 1000, 0.);
    ev_timer_start(h->host.loop, &h->timer);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    run(container_of(io, struct control_http, io));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    run(container_of(timer, struct control_http, timer));
}

static void
suspend(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->connection);
}

/* It goes on in the next loop round, never inside the caller. */
static void
resume(struct exchange *x)
{
    struct control_http *h = x->home;

    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->connection);
    ev_timer_stop(h->host.loop, &h->timer);
    ev_timer_set(&h->timer, 0., 0.);
    ev_timer_start(h->host.loop, &h->timer);
}

static int
descriptor(const struct exchange *x)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info != NULL ? info->connect_fd : -1;
}

/* libmicrohttpd does not look at connections that are suspended.  A client
 * that only closed its own direction still waits for the answer. */
static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_http *h = container_of(timer, struct control_http, sweep);

    (void)loop;
    (void)events;
    for (struct list *i = h->all.next; i != &h->all; i = i->next) {
        struct exchange *x = container_of(i, struct exchange, link);
        struct pollfd p = {.fd = x->suspended ? descriptor(x) : -1};
        if (p.fd < 0 || poll(&p, 1, 0) <= 0)
            continue;
        x->broken = true;
        resume(x);
    }
}

/* --- answering --- */

static ssize_t
read_answer(void *arg, uint64_t position, char *out, size_t room)
{
    struct exchange *x = arg;

    (void)position;
    if (buf_is_empty(&x->answer) && !x->complete && !x->broken)
        x->home->host.drained(x->home->host.arg, x);
    if (x->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    struct slice bytes = slice_take(buf_bytes(&x->answer), room);
    if (bytes.len > 0) {
        memcpy(out, bytes.ptr, bytes.len);
        buf_consume(&x->answer, bytes.len);
        return (ssize_t)bytes.len;
    }
    if (x->complete)
        return MHD_CONTENT_READER_END_OF_STREAM;
    suspend(x);
    return 0;
}

static struct MHD_Response *
make_response(struct exchange *x)
{
    struct slice all = buf_bytes(&x->answer);

    if (!x->complete)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK,
                                                 read_answer, x, NULL);
    return MHD_create_response_from_buffer(all.len, (void *)(uintptr_t)all.ptr,
                                           MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result
respond(struct exchange *x)
{
    struct MHD_Response *response = make_response(x);

    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                x->type) == MHD_YES &&
                MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                        "no-store") == MHD_YES
            ? MHD_queue_response(x->connection, x->status, response)
            : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

/* --- requests --- */

static void
keep_text(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len < size)
        memcpy(out, text, len + 1);
}

static struct exchange *
exchange_new(struct control_http *h, struct MHD_Connection *connection,
             const char *method, const char *path)
{
    struct exchange *x = xcalloc(1, sizeof *x);

    x->home = h;
    x->connection = connection;
    keep_text(x->method, sizeof x->method, method);
    keep_text(x->path, sizeof x->path, path);
    buf_init(&x->body, BODY_MAX);
    buf_init(&x->answer, ANSWER_MAX);
    list_append(&h->all, &x->link);
    return x;
}

/* Eight parameters are libmicrohttpd's. */
static enum MHD_Result /* NOLINTNEXTLINE(readability-function-size) */
on_request(void *arg, struct MHD_Connection *connection, const char *url,
           const char *method, const char *version, const char *upload,
           size_t *upload_size, void **state)
{
    struct control_http *h = arg;
    struct exchange *x = *state;

    (void)version;
    if (x == NULL) {
        *state = exchange_new(h, connection, method, url);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (!buf_append(&x->body, (struct slice){upload, *upload_size}))
            return MHD_NO;
        *upload_size = 0;
        return MHD_YES;
    }
    if (!x->begun) {
        x->begun = true;
        h->host.begin(h->host.arg, x);
    }
    if (x->broken)
        return MHD_NO;
    if (x->status != 0)
        return respond(x);
    suspend(x);
    return MHD_YES;
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **state,
             enum MHD_RequestTerminationCode why)
{
    struct control_http *h = arg;
    struct exchange *x = *state;

    (void)connection;
    (void)why;
    if (x == NULL)
        return;
    *state = NULL;
    h->host.gone(h->host.arg, x);
    list_remove(&x->link);
    buf_deinit(&x->body);
    buf_deinit(&x->answer);
    free(x);
}

/* Clients that break a connection off are no news. */
__attribute__((format(printf, 2, 0))) static void
on_log(void *arg, const char *format, va_list arguments)
{
    char text[256], safe[512];

    (void)arg;
    (void)vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_debug("control: %s", log_escape(slice_of(text), safe, sizeof safe));
}

struct control_http *
control_http_new(const struct control_http_host *host, struct error *err)
{
    struct control_http *h = xcalloc(1, sizeof *h);

    h->host = *host;
    list_init(&h->all);
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, host->socket, MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, h, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        h->daemon != NULL
            ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)
            : NULL;
    if (info == NULL) {
        (void)error_set(err, "libmicrohttpd can't be started");
        free(h);
        return NULL;
    }
    ev_io_init(&h->io, on_io, info->epoll_fd, EV_READ);
    ev_io_start(host->loop, &h->io);
    ev_init(&h->timer, on_timer);
    ev_timer_init(&h->sweep, on_sweep, SWEEP, SWEEP);
    ev_timer_start(host->loop, &h->sweep);
    return h;
}

void
control_http_free(struct control_http *h)
{
    for (struct list *i = h->all.next; i != &h->all; i = i->next) {
        struct exchange *x = container_of(i, struct exchange, link);
        x->broken = true;
        resume(x);
    }
    (void)MHD_run(h->daemon);
    MHD_stop_daemon(h->daemon);
    ev_io_stop(h->host.loop, &h->io);
    ev_timer_stop(h->host.loop, &h->timer);
    ev_timer_stop(h->host.loop, &h->sweep);
    free(h);
}

/* --- for the API --- */

const char *
exchange_method(const struct exchange *x)
{
    return x->method;
}

const char *
exchange_path(const struct exchange *x)
{
    return x->path;
}

struct slice
exchange_body(const struct exchange *x)
{
    return buf_bytes(&x->body);
}

struct query {
    bool (*each)(void *arg, struct slice name, struct slice value);
    void *arg;
};

static enum MHD_Result /* NOLINTNEXTLINE(readability-function-size) */
on_query(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
         const char *value, size_t value_size)
{
    const struct query *q = arg;

    (void)kind;
    return q->each(q->arg, (struct slice){name, name_size},
                   (struct slice){value != NULL ? value : "", value_size})
               ? MHD_YES
               : MHD_NO;
}

void
exchange_each_query(struct exchange *x,
                    bool (*each)(void *arg, struct slice name,
                                 struct slice value),
                    void *arg)
{
    struct query q = {each, arg};

    (void)MHD_get_connection_values_n(x->connection, MHD_GET_ARGUMENT_KIND,
                                      on_query, &q);
}

uid_t
exchange_uid(const struct exchange *x)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;

    (void)getsockopt(descriptor(x), SOL_SOCKET, SO_PEERCRED, &peer, &len);
    return peer.uid;
}

void
exchange_set_state(struct exchange *x, void *state)
{
    x->state = state;
}

void *
exchange_state(const struct exchange *x)
{
    return x->state;
}

void
exchange_start(struct exchange *x, unsigned status, const char *type)
{
    require(x->status == 0);
    x->status = status;
    x->type = type;
    resume(x);
}

void
exchange_abort(struct exchange *x)
{
    x->broken = true;
    resume(x);
}

void
exchange_write(struct exchange *x, struct slice bytes)
{
    if (x->broken)
        return;
    if (!buf_append(&x->answer, bytes))
        exchange_abort(x);
    resume(x);
}

void
exchange_printf(struct exchange *x, const char *format, ...)
{
    va_list arguments;

    if (x->broken)
        return;
    va_start(arguments, format);
    bool fits = buf_vprintf(&x->answer, format, arguments);
    va_end(arguments);
    if (!fits)
        exchange_abort(x);
    resume(x);
}

void
exchange_finish(struct exchange *x)
{
    x->complete = true;
    resume(x);
}

size_t
exchange_waiting(const struct exchange *x)
{
    return buf_len(&x->answer);
}

bool
exchange_is_started(const struct exchange *x)
{
    return x->status != 0;
}
