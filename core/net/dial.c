#include "net/dial.h"

#include "base/check.h"
#include "base/slice.h"
#include "base/spare.h"
#include "net/stand_in.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGGER       0.25 /* seconds between two starts, RFC 8305 5 */
#define IPV6_DELAY    0.05 /* that IPv4 waits for IPv6, RFC 8305 3 */
#define ADDRESSES_MAX 16   /* of one family */
#define TEXT_MAX      (ADDR_TEXT_MAX + 256)
#define GREETING_SIZE 1024
#define SETTLING      0.01 /* seconds for a silent connection to show itself */

enum family { FAMILY_V6, FAMILY_V4, FAMILY_COUNT };

/* What is known of one family's addresses. */
struct family_state {
    struct dns_query *query; /* NULL: not asked, or answered */
    struct addr *addresses;  /* `count` of them */
    size_t count;
    size_t tried;
};

/* One connection being made. */
struct attempt {
    struct dial *home;
    struct attempt *older;
    ev_io io;
    struct stream stream; /* closed: it has failed */
    struct addr addr;
};

struct dial {
    struct ev_loop *loop;
    dial_fn done;
    void *arg;
    char *host;           /* the name that is asked for, or NULL: */
    struct addr literal;  /* the one address there is */
    struct addr source;   /* len 0: any */
    struct buf *greeting; /* see dial.h; NULL too once nobody waits for it */
    struct family_state families[FAMILY_COUNT];
    enum family next; /* whose turn it is */
    size_t running;
    ev_timer deadline; /* then carries the delivery */
    ev_timer stagger;  /* until the next start */
    enum dial_status status;
    struct attempt *winner;
    struct attempt *newest; /* of all, by `older` */
    struct attempt first;   /* there is no other, as a rule */
    char text[TEXT_MAX];
};

/* Of dials, which begin zeroed up to their text. */
static struct spare spares = {.size = sizeof(struct dial)};

static void
attempt_close(struct attempt *a)
{
    if (!stream_is_open(&a->stream))
        return;
    ev_io_stop(a->home->loop, &a->io);
    stream_close(&a->stream);
    a->home->running--;
}

/* Ends everything but the winner. */
static void
stop(struct dial *d)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        dns_cancel(d->families[i].query);
        d->families[i].query = NULL;
    }
    for (struct attempt *a = d->newest; a != NULL; a = a->older) {
        if (a != d->winner)
            attempt_close(a);
    }
    ev_timer_stop(d->loop, &d->stagger);
    ev_timer_stop(d->loop, &d->deadline);
}

/* The outcome is delivered from the loop, never from inside dial_start. */
static void
finish(struct dial *d, enum dial_status status)
{
    d->status = status;
    stop(d);
    ev_feed_event(d->loop, &d->deadline, EV_CUSTOM);
}

static void
free_dial(struct dial *d)
{
    while (d->newest != &d->first && d->newest != NULL) {
        struct attempt *a = d->newest;
        d->newest = a->older;
        free(a);
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (d->families[i].addresses != &d->literal)
            free(d->families[i].addresses);
    }
    free(d->host);
    spare_give(&spares, d);
}

static void
deliver(struct dial *d)
{
    struct attempt *winner = d->winner;

    d->done(d->arg, d->status, winner != NULL ? &winner->stream : NULL,
            winner != NULL ? &winner->addr : NULL, d->text);
    free_dial(d);
}

static void
note(struct dial *d, enum dial_status status, const struct addr *a,
     const char *what)
{
    char text[ADDR_TEXT_MAX];

    d->status = status;
    (void)snprintf(d->text, sizeof d->text, "connect %s: %s",
                   addr_format(a, text), what);
}

static void
win(struct attempt *a)
{
    struct dial *d = a->home;

    ev_io_stop(d->loop, &a->io);
    d->winner = a;
    memcpy(d->text, "connected", sizeof "connected");
    finish(d, DIAL_OK);
}

static void
lose(struct attempt *a, int error)
{
    note(a->home, error == ECONNREFUSED ? DIAL_REFUSED : DIAL_FAILED, &a->addr,
         strerror(error));
    attempt_close(a);
}

static bool
is_asking(const struct dial *d)
{
    return d->families[FAMILY_V6].query != NULL ||
           d->families[FAMILY_V4].query != NULL;
}

static bool
has_more(const struct family_state *f)
{
    return f->tried < f->count;
}

/* The families take turns as long as both have addresses left. */
static const struct addr *
next_address(struct dial *d)
{
    if (!has_more(&d->families[d->next]))
        d->next = d->next == FAMILY_V6 ? FAMILY_V4 : FAMILY_V6;
    struct family_state *f = &d->families[d->next];
    if (!has_more(f))
        return NULL;
    d->next = d->next == FAMILY_V6 ? FAMILY_V4 : FAMILY_V6;
    return &f->addresses[f->tried++];
}

static bool
bind_source(int fd, const struct addr *source)
{
    int on = 1;

    /* The port is chosen by connect, which may share one between upstreams. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, &source->any, source->len) == 0;
}

static bool
set_options(const struct dial *d, const struct attempt *a)
{
    if (addr_is_local(&a->addr))
        return true;
    if (d->greeting == NULL)
        stream_tune(&a->stream);
    return d->source.len == 0 || bind_source(a->stream.fd, &d->source);
}

static struct attempt *
new_attempt(struct dial *d)
{
    struct attempt *a = d->newest == NULL ? &d->first : xcalloc(1, sizeof *a);

    a->home = d;
    a->older = d->newest;
    d->newest = a;
    return a;
}

static void on_connected(struct ev_loop *loop, ev_io *io, int events);

/* Starts one attempt; false if it has already failed. */
static bool
try_address(struct dial *d, const struct addr *address)
{
    struct attempt *a = new_attempt(d);
    int fd = socket(address->any.sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        note(d, DIAL_FAILED, address, strerror(errno));
        return false;
    }
    a->addr = *address;
    stream_open_plain(&a->stream, fd);
    ev_io_init(&a->io, on_connected, fd,
               d->greeting != NULL ? EV_READ : EV_READ | EV_WRITE);
    d->running++;
    if (!set_options(d, a) || (connect(fd, &address->any, address->len) != 0 &&
                               errno != EINPROGRESS)) {
        lose(a, errno);
        return false;
    }
    ev_io_start(d->loop, &a->io);
    return true;
}

/* Starts the next attempt that does not fail on the spot; with nothing left
 * to try, run or wait for, the last failure is the outcome. */
static void
try_next(struct dial *d)
{
    const struct addr *address;

    ev_timer_stop(d->loop, &d->stagger);
    while ((address = next_address(d)) != NULL) {
        if (!try_address(d, address))
            continue;
        ev_timer_set(&d->stagger, STAGGER, 0.);
        ev_timer_start(d->loop, &d->stagger);
        return;
    }
    if (d->running == 0 && !is_asking(d))
        finish(d, d->status);
}

/* What became of a connection.  One that failed is readable too: what is only
 * writable is up, and the kernel need not be asked. */
static int
error_of(int fd, int events)
{
    int error = 0;
    socklen_t len = sizeof error;

    if ((events & EV_READ) == 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    return error;
}

/* The same, by reading; EAGAIN when there is nothing yet.  Who has closed was
 * connected: the next read finds that again. */
static int
error_of_greeting(struct attempt *a)
{
    size_t room, moved;
    char *into = buf_reserve(a->home->greeting, GREETING_SIZE, &room);

    require(into != NULL);
    switch (stream_read(&a->stream, into, room, &moved)) {
    case IO_DONE:
        buf_filled(a->home->greeting, moved);
        return 0;
    case IO_EOF:
        return 0;
    case IO_AGAIN:
        return EAGAIN;
    case IO_ERROR:
        return errno;
    }
    unreachable();
}

static void
on_connected(struct ev_loop *loop, ev_io *io, int events)
{
    struct attempt *a = container_of(io, struct attempt, io);
    struct dial *d = a->home;
    int error =
        d->greeting != NULL ? error_of_greeting(a) : error_of(io->fd, events);

    (void)loop;
    if (error == EAGAIN)
        return;
    if (error == 0) {
        win(a);
        return;
    }
    lose(a, error);
    try_next(d);
}

/* Who was to speak first is slow: to be connected is enough then. */
static void
stop_listening(struct dial *d)
{
    d->greeting = NULL;
    for (struct attempt *a = d->newest; a != NULL; a = a->older) {
        if (!stream_is_open(&a->stream))
            continue;
        ev_io_stop(d->loop, &a->io);
        ev_io_set(&a->io, a->stream.fd, EV_READ | EV_WRITE);
        ev_io_start(d->loop, &a->io);
    }
}

static void
on_stagger(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dial *d = container_of(timer, struct dial, stagger);

    (void)events;
    if (d->greeting == NULL || d->running == 0) {
        try_next(d);
        return;
    }
    stop_listening(d);
    ev_timer_set(&d->stagger, SETTLING, 0.);
    ev_timer_start(loop, &d->stagger);
}

static const struct attempt *
newest_running(const struct dial *d)
{
    for (const struct attempt *a = d->newest; a != NULL; a = a->older) {
        if (stream_is_open(&a->stream))
            return a;
    }
    return NULL;
}

static void
time_out(struct dial *d)
{
    const struct attempt *a = newest_running(d);

    if (a != NULL)
        note(d, DIAL_TIMEOUT, &a->addr, "timed out");
    else if (stand_in_of(d->loop) != NULL)
        (void)snprintf(d->text, sizeof d->text, "connect %.200s: timed out",
                       d->host);
    else
        (void)snprintf(d->text, sizeof d->text, "resolve %.200s: timed out",
                       d->host);
    d->status =
        a != NULL || stand_in_of(d->loop) != NULL ? DIAL_TIMEOUT : DIAL_DNS;
    stop(d);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dial *d = container_of(timer, struct dial, deadline);

    (void)loop;
    if ((events & EV_CUSTOM) == 0)
        time_out(d);
    deliver(d);
}

static const char *
dns_status_text(enum dns_status status)
{
    switch (status) {
    case DNS_OK:
        return "no address";
    case DNS_NOT_FOUND:
        return "not found";
    case DNS_TIMEOUT:
        return "timed out";
    case DNS_FAILED:
        return "the resolver failed";
    }
    unreachable();
}

/* Begins with IPv4 only when IPv6 has had its head start. */
static void
begin(struct dial *d)
{
    if (d->newest != NULL) {
        /* A failure has nothing left to wait for; else the stagger runs, or
         * has run out for want of addresses. */
        if (d->running == 0 || !ev_is_active(&d->stagger))
            try_next(d);
        return;
    }
    if (d->families[FAMILY_V6].query != NULL) {
        if (d->families[FAMILY_V4].count == 0)
            return;
        ev_timer_set(&d->stagger, IPV6_DELAY, 0.);
        ev_timer_start(d->loop, &d->stagger);
        return;
    }
    try_next(d);
}

static void
set_addresses(struct family_state *f, const struct addr *addresses,
              size_t count)
{
    if (count == 0)
        return;
    f->count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
    f->addresses = xmalloc(f->count * sizeof *addresses);
    memcpy(f->addresses, addresses, f->count * sizeof *addresses);
}

static void
on_answer(struct dial *d, enum family family, enum dns_status status,
          const struct addr *addresses, size_t count)
{
    struct family_state *f = &d->families[family];

    f->query = NULL;
    set_addresses(f, addresses, count);
    if (f->count == 0 && d->newest == NULL) {
        d->status = DIAL_DNS;
        (void)snprintf(d->text, sizeof d->text, "resolve %.200s: %s", d->host,
                       dns_status_text(status));
    }
    begin(d);
}

static void
on_v6(void *arg, enum dns_status status, const struct addr *addresses,
      size_t count)
{
    on_answer(arg, FAMILY_V6, status, addresses, count);
}

static void
on_v4(void *arg, enum dns_status status, const struct addr *addresses,
      size_t count)
{
    on_answer(arg, FAMILY_V4, status, addresses, count);
}

/* A literal needs no names: it is the one address there is. */
static bool
is_literal(const struct dial_request *request, struct addr *a)
{
    struct slice host = slice_of(request->host);
    struct error ignored;

    if (slice_has_prefix(host, S("unix:")))
        return addr_parse(host, 0, a, &ignored);
    return addr_parse_ip(host, request->port, a);
}

static void
ask(struct dial *d, struct dns *dns, const struct dial_request *request)
{
    int only = d->source.len > 0 ? d->source.any.sa_family : AF_UNSPEC;

    d->host = xstrndup(request->host, strlen(request->host));
    struct dns_question question = {.name = d->host,
                                    .timeout = request->timeout,
                                    .port = request->port,
                                    .family = DNS_V6};

    if (only != AF_INET)
        d->families[FAMILY_V6].query = dns_resolve(dns, &question, on_v6, d);
    question.family = DNS_V4;
    if (only != AF_INET6)
        d->families[FAMILY_V4].query = dns_resolve(dns, &question, on_v4, d);
}

/* Nothing is connected to: how it ends is said. */
static void
rehearse(struct dial *d, struct stand_in *in,
         const struct dial_request *request)
{
    struct stand_in_dial end = {.status = DIAL_FAILED, .fd = -1};
    struct attempt *a = new_attempt(d);

    d->host = xstrndup(request->host, strlen(request->host));
    in->dial(in, request, &end);
    if (end.silent)
        return;
    if (end.status != DIAL_OK) {
        (void)snprintf(
            d->text, sizeof d->text, "connect %.200s: %s", request->host,
            end.status == DIAL_REFUSED ? strerror(ECONNREFUSED) : "failed");
        finish(d, end.status);
        return;
    }
    if (!is_literal(request, &a->addr))
        (void)addr_parse_ip(S("192.0.2.1"), request->port, &a->addr);
    stream_open_plain(&a->stream, end.fd);
    ev_io_init(&a->io, on_connected, end.fd, EV_WRITE);
    ev_io_start(d->loop, &a->io); /* as ever: the loop knows who won */
    d->running++;
    win(a);
}

struct dial *
dial_start(struct ev_loop *loop, struct dns *dns,
           const struct dial_request *request, dial_fn done, void *arg)
{
    struct dial *d = spare_take(&spares);

    memset(d, 0, offsetof(struct dial, text));
    d->text[0] = '\0';
    d->loop = loop;
    d->done = done;
    d->arg = arg;
    d->greeting = request->greeting;
    if (request->source != NULL)
        d->source = *request->source;
    ev_timer_init(&d->stagger, on_stagger, STAGGER, 0.);
    ev_timer_init(&d->deadline, on_deadline, request->timeout, 0.);
    ev_timer_start(loop, &d->deadline);

    if (stand_in_of(loop) != NULL) {
        rehearse(d, stand_in_of(loop), request);
    } else if (is_literal(request, &d->literal)) {
        d->families[FAMILY_V6].addresses = &d->literal;
        d->families[FAMILY_V6].count = 1;
        try_next(d);
    } else {
        ask(d, dns, request);
    }
    return d;
}

void
dial_cancel(struct dial *d)
{
    if (d == NULL)
        return;
    stop(d);
    if (d->winner != NULL)
        attempt_close(d->winner);
    free_dial(d);
}
