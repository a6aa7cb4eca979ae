#include "process/cover.h"

static void
lend(const struct slot *s, struct slot *keeper)
{
    const struct sockets *sockets = s->host->sockets;
    struct message m;

    for (size_t i = 0; i < sockets->listener_count; i++) {
        if (sockets_is_shared(sockets, i))
            continue;
        message_init(&m, MESSAGE_SOCKET);
        message_put_u64(&m, sockets->all[i]->id);
        message_put_u64(&m, s->number);
        m.fds[0] = sockets_fd(sockets, i, s->number - 1);
        slot_tell(keeper, &m);
    }
}

static void
take_back(struct slot *s)
{
    struct message m;

    message_init(&m, MESSAGE_RELEASE);
    message_put_u64(&m, s->number);
    if (s->keeper->state == SLOT_READY)
        slot_tell(s->keeper, &m);
    s->keeper = NULL;
}

/* The next worker after `s`, all around, that serves its own sockets. */
static struct slot *
find_keeper(struct slot *slots, size_t count, const struct slot *s)
{
    for (size_t i = 0; i + 1 < count; i++) {
        struct slot *other = &slots[(s->number + i) % count];
        if (slot_is_alive(other))
            return other;
    }
    return NULL;
}

void
cover_renew(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slots[i].keeper != NULL)
            lend(&slots[i], slots[i].keeper);
    }
}

void
cover_slots(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slot *s = &slots[i];
        bool needs_keeper = !slot_is_alive(s);
        if (s->keeper != NULL && (!needs_keeper || !slot_is_alive(s->keeper)))
            take_back(s);
        if (!needs_keeper || s->keeper != NULL)
            continue;
        s->keeper = find_keeper(slots, count, s);
        if (s->keeper == NULL)
            continue;
        lend(s, s->keeper);
        log_debug("worker %u accepts for worker %u", s->keeper->number,
                  s->number);
    }
}
