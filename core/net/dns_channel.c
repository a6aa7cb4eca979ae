#include "net/dns_channel.h"

#include "base/check.h"
#include "base/list.h"

#include <stdlib.h>

#define RESEND_MS 2000 /* a server's time to answer, doubled each round */
#define TRIES     3

struct dns_channel {
    struct ev_loop *loop;
    ares_channel ares;
    struct list sockets;
    ev_timer resend; /* c-ares's next timeout */
};

/* One of c-ares's sockets. */
struct dns_socket {
    struct list link;
    struct dns_channel *home;
    ev_io io;
};

void
dns_channel_asked(struct dns_channel *c)
{
    struct timeval tv;

    ev_timer_stop(c->loop, &c->resend);
    if (ares_timeout(c->ares, NULL, &tv) == NULL)
        return;
    ev_timer_set(&c->resend, (double)tv.tv_sec + (double)tv.tv_usec / 1e6, 0.);
    ev_timer_start(c->loop, &c->resend);
}

static void
on_resend(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dns_channel *c = container_of(timer, struct dns_channel, resend);

    (void)loop;
    (void)events;
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_channel_asked(c);
}

static void
on_socket(struct ev_loop *loop, ev_io *io, int events)
{
    struct dns_channel *c = container_of(io, struct dns_socket, io)->home;
    int fd = io->fd; /* c-ares may close the socket, which frees the watcher */

    (void)loop;
    ares_process_fd(c->ares, (events & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
                    (events & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    dns_channel_asked(c);
}

static struct dns_socket *
find_socket(struct dns_channel *c, int fd)
{
    for (struct list *l = c->sockets.next; l != &c->sockets; l = l->next) {
        struct dns_socket *s = container_of(l, struct dns_socket, link);
        if (s->io.fd == fd)
            return s;
    }
    return NULL;
}

static struct dns_socket *
add_socket(struct dns_channel *c)
{
    struct dns_socket *s = xcalloc(1, sizeof *s);

    s->home = c;
    list_append(&c->sockets, &s->link);
    return s;
}

static void
remove_socket(struct dns_socket *s)
{
    list_remove(&s->link);
    free(s);
}

/* c-ares says what it waits for at `fd`; for nothing just before it closes. */
static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = arg;
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);

    struct dns_socket *s = find_socket(c, fd);
    if (s != NULL)
        ev_io_stop(c->loop, &s->io);
    if (events == 0) {
        if (s != NULL)
            remove_socket(s);
        return;
    }
    if (s == NULL)
        s = add_socket(c);
    ev_io_init(&s->io, on_socket, fd, events);
    ev_io_start(c->loop, &s->io);
}

static int
open_ares(struct dns_channel *c)
{
    char lookups[] = "b"; /* no files: the hosts file is read by dns_hosts */
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES,
        .timeout = RESEND_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = c,
    };

    return ares_init_options(&c->ares, &options,
                             ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS |
                                 ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                 ARES_OPT_SOCK_STATE_CB);
}

struct dns_channel *
dns_channel_new(struct ev_loop *loop, const char *servers, struct error *err)
{
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status != ARES_SUCCESS) {
        error_set(err, "c-ares: %s", ares_strerror(status));
        return NULL;
    }
    struct dns_channel *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    list_init(&c->sockets);
    ev_timer_init(&c->resend, on_resend, 0., 0.);
    status = open_ares(c);
    if (status == ARES_SUCCESS && servers != NULL && *servers != '\0')
        status = ares_set_servers_ports_csv(c->ares, servers);
    if (status != ARES_SUCCESS) {
        error_set(err, "resolver \"%s\": %s", servers != NULL ? servers : "",
                  ares_strerror(status));
        dns_channel_free(c);
        return NULL;
    }
    return c;
}

void
dns_channel_free(struct dns_channel *c)
{
    if (c == NULL)
        return;
    if (c->ares != NULL)
        ares_destroy(c->ares);
    ev_timer_stop(c->loop, &c->resend);
    ares_library_cleanup();
    free(c);
}

ares_channel
dns_channel_ares(struct dns_channel *c)
{
    return c->ares;
}
