#include "net/listener.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX 64
#define PAUSE     0.5 /* seconds without accepting once out of descriptors */

struct listener {
    struct ev_loop *loop;
    ev_io io;
    ev_timer pause; /* until accepting is tried again */
    accept_fn accept;
    void *arg;
    bool out_of_files; /* said so in the log; until one is accepted again */
};

static bool
is_out_of_files(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS ||
           error == ENOMEM;
}

/* Connections keep waiting in the backlog meanwhile. */
static void
pause_accepting(struct listener *l)
{
    if (!l->out_of_files)
        log_warn("accept: %s; accepting pauses until there is room",
                 strerror(errno));
    l->out_of_files = true;
    ev_io_stop(l->loop, &l->io);
    ev_timer_set(&l->pause, PAUSE, 0.);
    ev_timer_start(l->loop, &l->pause);
}

/* false: nothing more to accept now. */
static bool
accept_one(struct listener *l)
{
    struct addr client = {.len = sizeof client.storage};

    int fd = accept4(l->io.fd, &client.any, &client.len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->out_of_files = false;
        l->accept(l->arg, fd, &client);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (is_out_of_files(errno)) {
        pause_accepting(l);
        return false;
    }
    /* What else accept4 says is about the one connection that was lost. */
    return true;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct listener *l = container_of(io, struct listener, io);

    (void)loop;
    (void)events;
    for (int i = 0; i < BATCH_MAX; i++) {
        if (!accept_one(l) || !ev_is_active(&l->io))
            return;
    }
}

static void
on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listener *l = container_of(timer, struct listener, pause);

    (void)events;
    ev_io_start(loop, &l->io);
}

struct listener *
listener_new(struct ev_loop *loop, int fd, accept_fn accept, void *arg)
{
    struct listener *l = xcalloc(1, sizeof *l);

    l->loop = loop;
    l->accept = accept;
    l->arg = arg;
    ev_io_init(&l->io, on_readable, fd, EV_READ);
    ev_timer_init(&l->pause, on_pause_over, PAUSE, 0.);
    ev_io_start(loop, &l->io);
    return l;
}

void
listener_pause(struct listener *l)
{
    ev_io_stop(l->loop, &l->io);
    ev_timer_stop(l->loop, &l->pause);
}

void
listener_resume(struct listener *l)
{
    ev_timer_stop(l->loop, &l->pause);
    ev_io_start(l->loop, &l->io);
}

void
listener_free(struct listener *l)
{
    if (l == NULL)
        return;
    listener_pause(l);
    (void)close(l->io.fd);
    free(l);
}
