#include "process/sockets.h"

#include "base/slice.h"
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned last_id;

int
sockets_fd(const struct sockets *s, size_t listener, size_t slot)
{
    require(listener < s->listener_count && slot < s->slot_count);
    return s->all[listener]->fds[slot];
}

bool
sockets_is_shared(const struct sockets *s, size_t listener)
{
    require(listener < s->listener_count);
    return addr_is_local(&s->all[listener]->real);
}

bool
sockets_hold(const struct sockets *s, unsigned id)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->all[i]->id == id)
            return true;
    }
    return false;
}

static void
listening_unref(struct listening *l)
{
    bool shared = addr_is_local(&l->real);

    if (--l->references > 0)
        return;
    for (size_t slot = 0; slot < (shared ? 1 : l->slots); slot++) {
        if (l->fds[slot] >= 0)
            (void)close(l->fds[slot]);
    }
    if (shared && l->fds[0] >= 0)
        (void)unlink(l->real.local.sun_path);
    free(l->name);
    free(l->address);
    free(l->fds);
    free(l);
}

/* --- opening --- */

/* The first socket of an address settles its port. */
static bool
open_first(struct listening *l, const struct listen_options *options,
           struct error *err)
{
    l->fds[0] = listener_bind(&l->real, options, err);
    if (l->fds[0] < 0)
        return false;
    if (addr_is_local(&l->real))
        return true;
    l->real.len = sizeof l->real.storage;
    if (getsockname(l->fds[0], &l->real.any, &l->real.len) != 0)
        return error_set(err, "getsockname: %s", strerror(errno));
    return true;
}

/* "0.0.0.0:143" and "10.0.0.1:143" may be two listeners: who connects to the
 * one address meets the second. */
static bool
has_port(const struct sockets *s, uint16_t port)
{
    for (size_t i = 0; s != NULL && i < s->listener_count; i++) {
        const struct addr *a = &s->all[i]->real;
        if (!addr_is_local(a) && addr_port(a) == port)
            return true;
    }
    return false;
}

static bool
open_all(struct listening *l, struct listen_options options,
         const struct sockets *ours[2], struct error *err)
{
    if (!addr_parse(slice_of(l->address), 0, &l->real, err))
        return false;
    bool shared = addr_is_local(&l->real);
    options.reuse_port = !shared;
    options.joins = !shared && (has_port(ours[0], addr_port(&l->real)) ||
                                has_port(ours[1], addr_port(&l->real)));
    if (!open_first(l, &options, err))
        return false;
    options.joins = true;
    for (size_t slot = 1; slot < l->slots; slot++) {
        l->fds[slot] =
            shared ? l->fds[0] : listener_bind(&l->real, &options, err);
        if (l->fds[slot] < 0)
            return false;
    }
    return true;
}

static struct listening *
listening_new(const struct plan_listener *from, size_t slots,
              const struct sockets *ours[2], struct error *err)
{
    struct listening *l = xcalloc(1, sizeof *l);

    l->references = 1;
    l->id = ++last_id;
    l->name = xstrndup(from->name, strlen(from->name));
    l->address = xstrndup(from->address, strlen(from->address));
    l->slots = slots;
    l->fds = xcalloc(slots, sizeof *l->fds);
    for (size_t slot = 0; slot < slots; slot++)
        l->fds[slot] = -1;
    if (open_all(l, from->socket, ours, err))
        return l;
    listening_unref(l);
    return NULL;
}

/* --- what stays open --- */

static bool
is_taken(const struct sockets *s, const struct listening *l)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->all[i] == l)
            return true;
    }
    return false;
}

/* "127.0.0.1:0" may be the address of several listeners, and is another port
 * for each; of these the name must be the same too. */
static struct listening *
find(const struct sockets *live, const struct sockets *taken,
     const struct plan_listener *wanted, bool same_name)
{
    for (size_t i = 0; live != NULL && i < live->listener_count; i++) {
        struct listening *l = live->all[i];
        if (strcmp(l->address, wanted->address) == 0 && !is_taken(taken, l) &&
            (!same_name || strcmp(l->name, wanted->name) == 0))
            return l;
    }
    return NULL;
}

static bool
port_is_open(const struct plan_listener *wanted)
{
    struct error err;
    struct addr a;

    return addr_parse(slice_of(wanted->address), 0, &a, &err) &&
           !addr_is_local(&a) && addr_port(&a) == 0;
}

static struct listening *
keep(const struct sockets *live, const struct sockets *taken,
     const struct plan_listener *wanted)
{
    struct listening *l = find(live, taken, wanted, true);

    if (l == NULL && !port_is_open(wanted))
        l = find(live, taken, wanted, false);
    if (l == NULL)
        return NULL;
    l->references++;
    return l;
}

bool
sockets_open(struct sockets *s, const struct sockets *live,
             const struct plan *plan, struct buf *errors)
{
    *s = (struct sockets){
        .slot_count = plan->workers,
        .all = xcalloc(plan->listener_count, sizeof(struct listening *)),
    };
    require(live == NULL || live->slot_count == s->slot_count);
    for (size_t i = 0; i < plan->listener_count; i++) {
        const struct plan_listener *wanted = &plan->listeners[i];
        struct error err;
        struct listening *l = keep(live, s, wanted);
        if (l == NULL)
            l = listening_new(wanted, s->slot_count,
                              (const struct sockets *[]){live, s}, &err);
        if (l != NULL) {
            s->all[s->listener_count++] = l;
            continue;
        }
        (void)error_context(&err, "listen \"%s\"", wanted->name);
        if (!buf_printf(errors, "%s\n", err.text))
            break;
    }
    if (buf_is_empty(errors))
        return true;
    sockets_close(s);
    return false;
}

void
sockets_adjust(const struct sockets *s, const struct plan *plan)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listening *l = s->all[i];
        for (size_t slot = 0; slot < l->slots; slot++)
            listener_adjust(l->fds[slot], &l->real, &plan->listeners[i].socket);
    }
}

void
sockets_close(struct sockets *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        listening_unref(s->all[i]);
    free(s->all);
    *s = (struct sockets){0};
}
