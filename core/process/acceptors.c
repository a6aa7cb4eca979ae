#include "process/acceptors.h"

#include "base/check.h"

#include <stdlib.h>
#include <unistd.h>

struct acceptor {
    struct list link;
    struct acceptors *home;
    unsigned socket, slot;
    int fd;                    /* until there is a `listener` */
    struct listener *listener; /* NULL: not started yet */
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
    one->home->accept(one->home->arg, one->socket, fd, client);
}

static void
start_one(struct acceptor *one)
{
    one->listener = listener_new(one->home->loop, one->fd, on_connection, one);
}

static struct acceptor *
find(struct acceptors *a, unsigned socket, unsigned slot)
{
    for (struct list *l = a->all.next; l != &a->all; l = l->next) {
        struct acceptor *one = acceptor_of(l);
        if (one->socket == socket && one->slot == slot)
            return one;
    }
    return NULL;
}

void
acceptors_add(struct acceptors *a, unsigned socket, unsigned slot, int fd)
{
    struct acceptor *one = find(a, socket, slot);

    if (one != NULL) {
        (void)close(fd);
        if (one->listener != NULL)
            listener_resume(one->listener);
        return;
    }
    one = xcalloc(1, sizeof *one);
    one->home = a;
    one->socket = socket;
    one->slot = slot;
    one->fd = fd;
    list_append(&a->all, &one->link);
    if (a->serves(a->arg, socket))
        start_one(one);
}

static void
free_one(struct acceptor *one)
{
    list_remove(&one->link);
    if (one->listener != NULL)
        listener_free(one->listener);
    else
        (void)close(one->fd);
    free(one);
}

void
acceptors_renew(struct acceptors *a)
{
    for (struct list *l = a->all.next, *next; l != &a->all; l = next) {
        struct acceptor *one = acceptor_of(l);
        next = l->next;
        if (!a->serves(a->arg, one->socket))
            free_one(one);
        else if (one->listener == NULL)
            start_one(one);
    }
}

void
acceptors_release(struct acceptors *a, unsigned slot)
{
    for (struct list *l = a->all.next; l != &a->all; l = l->next) {
        struct acceptor *one = acceptor_of(l);
        if (one->slot == slot && one->listener != NULL)
            listener_pause(one->listener);
    }
}

void
acceptors_deinit(struct acceptors *a)
{
    for (struct list *l = a->all.next, *next; l != &a->all; l = next) {
        next = l->next;
        free_one(acceptor_of(l));
    }
    list_init(&a->all);
}
