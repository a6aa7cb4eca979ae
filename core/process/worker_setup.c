#include "process/worker_setup.h"

#include "base/slice.h"

void
worker_setup_put(const struct worker_setup *setup, unsigned generation,
                 const struct sockets *sockets, struct message *m)
{
    message_init(m, MESSAGE_SETUP);
    message_put_u64(m, setup->number);
    message_put_u64(m, setup->process);
    message_put_u64(m, setup->identity.change);
    message_put_u64(m, setup->identity.uid);
    message_put_u64(m, setup->identity.gid);
    message_put_u64(m, setup->log_level);
    message_put_u64(m, setup->log_format);
    message_put_u64(m, setup->descriptors);
    deployment_put(generation, sockets, m);
    message_put_text(m, slice_of(setup->resolver));
    message_put_double(m, setup->valid);
    m->fds[0] = setup->bundle;
    log_target_put(&setup->log, m, 1);
    message_put_text(m, (struct slice){setup->tls.ticket_secret,
                                       sizeof setup->tls.ticket_secret});
    m->fds[2] = setup->tls.cache;
}

bool
worker_setup_get(struct worker_setup *setup, struct message *m)
{
    struct slice resolver, secret;

    if (m->type != MESSAGE_SETUP)
        return false;
    setup->number = (unsigned)message_get_u64(m);
    setup->process = (unsigned)message_get_u64(m);
    setup->identity.change = message_get_u64(m) != 0;
    setup->identity.uid = (uid_t)message_get_u64(m);
    setup->identity.gid = (gid_t)message_get_u64(m);
    setup->log_level = (enum log_level)message_get_u64(m);
    setup->log_format = (enum log_format)message_get_u64(m);
    setup->descriptors = (unsigned)message_get_u64(m);
    if (!deployment_get(&setup->deployment, m))
        return false;
    resolver = message_get_text(m);
    setup->resolver = xstrndup(resolver.ptr, resolver.len);
    setup->valid = message_get_double(m);
    setup->bundle = message_take_fd(m, 0);
    if (!log_target_get(&setup->log, m, 1))
        return false;
    setup->tls.cache = message_take_fd(m, 2);
    secret = message_get_text(m);
    if (secret.len != sizeof setup->tls.ticket_secret)
        return false;
    memcpy(setup->tls.ticket_secret, secret.ptr, secret.len);
    return message_is_whole(m);
}
