#include "process/acceptors.h"

#include "base/check.h"

#include <stdlib.h>
#include <unistd.h>

struct acceptor {
    struct list link;
    struct acceptors *home;
    unsigned listener, slot;
    int fd;                  /* until there is a `socket` */
    struct listener *socket; /* NULL: not started yet */
};

static struct acceptor *
acceptor_of(struct list *link)
{
    return container_of(link, struct acceptor, link);
}

void
acceptors_init(struct acceptors *a, struct ev_loop *loop)
{
    *a = (struct acceptors){.loop = loop};
    list_init(&a->all);
}

static void
on_connection(void *arg, int fd, const struct addr *client)
{
    struct acceptor *one = arg;
    one->home->accept(one->home->arg, one->listener, fd, client);
}

static void
start_one(struct acceptor *one)
{
    one->socket = listener_new(one->home->loop, one->fd, on_connection, one);
}

static struct acceptor *
find(struct acceptors *a, unsigned listener, unsigned slot)
{
    for (struct list *l = a->all.next; l != &a->all; l = l->next) {
        struct acceptor *one = acceptor_of(l);
        if (one->listener == listener && one->slot == slot)
            return one;
    }
    return NULL;
}

void
acceptors_add(struct acceptors *a, unsigned listener, unsigned slot, int fd)
{
    struct acceptor *one = find(a, listener, slot);

    if (one != NULL) {
        (void)close(fd);
        if (one->socket != NULL)
            listener_resume(one->socket);
        return;
    }
    one = xcalloc(1, sizeof *one);
    one->home = a;
    one->listener = listener;
    one->slot = slot;
    one->fd = fd;
    list_append(&a->all, &one->link);
    if (a->started)
        start_one(one);
}

void
acceptors_start(struct acceptors *a,
                void (*accept)(void *arg, unsigned listener, int fd,
                               const struct addr *client),
                void *arg)
{
    a->accept = accept;
    a->arg = arg;
    a->started = true;
    for (struct list *l = a->all.next; l != &a->all; l = l->next)
        start_one(acceptor_of(l));
}

void
acceptors_release(struct acceptors *a, unsigned slot)
{
    for (struct list *l = a->all.next; l != &a->all; l = l->next) {
        struct acceptor *one = acceptor_of(l);
        if (one->slot == slot && one->socket != NULL)
            listener_pause(one->socket);
    }
}

void
acceptors_deinit(struct acceptors *a)
{
    for (struct list *l = a->all.next, *next; l != &a->all; l = next) {
        struct acceptor *one = acceptor_of(l);
        next = l->next;
        if (one->socket != NULL)
            listener_free(one->socket);
        else
            (void)close(one->fd);
        free(one);
    }
    list_init(&a->all);
}
