#include "process/sockets.h"

#include "base/slice.h"
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
sockets_fd(const struct sockets *s, size_t listener, size_t slot)
{
    require(listener < s->listener_count && slot < s->slot_count);
    return s->fds[listener * s->slot_count + slot];
}

bool
sockets_is_shared(const struct sockets *s, size_t listener)
{
    require(listener < s->listener_count);
    return addr_is_local(&s->addresses[listener]);
}

/* The first socket of an address settles its port. */
static bool
open_first(const struct addr *wanted, const struct listen_options *options,
           int *fd, struct addr *real, struct error *err)
{
    *fd = listener_bind(wanted, options, err);
    if (*fd < 0)
        return false;
    *real = *wanted;
    if (addr_is_local(wanted))
        return true;
    real->len = sizeof real->storage;
    if (getsockname(*fd, &real->any, &real->len) != 0)
        return error_set(err, "getsockname: %s", strerror(errno));
    return true;
}

static bool
open_listener(struct sockets *s, size_t i, const struct plan_listener *l,
              struct error *err)
{
    struct listen_options options = l->socket;
    int *fds = s->fds + i * s->slot_count;
    struct addr wanted;

    if (!addr_parse(slice_of(l->address), 0, &wanted, err))
        return false;
    options.reuse_port = !addr_is_local(&wanted);
    if (!open_first(&wanted, &options, &fds[0], &s->addresses[i], err))
        return false;
    options.joins = true;
    for (size_t slot = 1; slot < s->slot_count; slot++) {
        if (addr_is_local(&wanted))
            fds[slot] = fds[0];
        else
            fds[slot] = listener_bind(&s->addresses[i], &options, err);
        if (fds[slot] < 0)
            return false;
    }
    return true;
}

bool
sockets_open(struct sockets *s, const struct plan *plan, struct buf *errors)
{
    size_t count = plan->listener_count * plan->workers;

    *s = (struct sockets){
        .listener_count = plan->listener_count,
        .slot_count = plan->workers,
        .addresses = xcalloc(plan->listener_count, sizeof *s->addresses),
        .fds = xcalloc(count, sizeof *s->fds),
    };
    for (size_t i = 0; i < count; i++)
        s->fds[i] = -1;
    for (size_t i = 0; i < plan->listener_count; i++) {
        struct error err;
        if (open_listener(s, i, &plan->listeners[i], &err))
            continue;
        (void)error_context(&err, "listen \"%s\"", plan->listeners[i].name);
        if (!buf_printf(errors, "%s\n", err.text))
            break;
    }
    if (buf_is_empty(errors))
        return true;
    sockets_close(s);
    return false;
}

static void
close_listener(const struct sockets *s, size_t i)
{
    bool shared = sockets_is_shared(s, i);
    size_t descriptors = shared ? 1 : s->slot_count;

    for (size_t slot = 0; slot < descriptors; slot++) {
        if (sockets_fd(s, i, slot) >= 0)
            (void)close(sockets_fd(s, i, slot));
    }
    if (shared && sockets_fd(s, i, 0) >= 0)
        (void)unlink(s->addresses[i].local.sun_path);
}

void
sockets_close(struct sockets *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        close_listener(s, i);
    free(s->addresses);
    free(s->fds);
    *s = (struct sockets){0};
}
