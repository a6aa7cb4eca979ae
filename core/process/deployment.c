#include "process/deployment.h"

#include <stdlib.h>

void
deployment_put(unsigned generation, const struct sockets *sockets,
               struct message *m)
{
    message_put_u64(m, generation);
    message_put_u64(m, sockets->listener_count);
    for (size_t i = 0; i < sockets->listener_count; i++)
        message_put_u64(m, sockets->all[i]->id);
}

bool
deployment_get(struct deployment *d, struct message *m)
{
    uint64_t count;

    *d = (struct deployment){.generation = (unsigned)message_get_u64(m)};
    count = message_get_u64(m);
    if (m->bad || count < 1 || count > MESSAGE_MAX / sizeof(uint64_t))
        return false;
    d->listener_count = count;
    d->sockets = xcalloc(count, sizeof *d->sockets);
    for (size_t i = 0; i < count; i++)
        d->sockets[i] = (unsigned)message_get_u64(m);
    return !m->bad;
}

void
deployment_deinit(struct deployment *d)
{
    free(d->sockets);
    *d = (struct deployment){0};
}
