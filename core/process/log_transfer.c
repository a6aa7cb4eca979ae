#include "base/slice.h"
#include "process/log_target.h"

#include <string.h>

void
log_target_put(const struct log_target *target, struct message *m, size_t fd)
{
    char server[ADDR_TEXT_MAX];

    message_put_i64(m, target->facility);
    message_put_u64(m, target->level);
    message_put_u64(m, target->remote);
    message_put_u64(m, target->nameless);
    message_put_text(m, slice_of(target->tag));
    message_put_text(m, target->server.len > 0
                            ? slice_of(addr_format(&target->server, server))
                            : S(""));
    m->fds[fd] = target->fd;
}

bool
log_target_get(struct log_target *target, struct message *m, size_t fd)
{
    struct error err;

    *target = (struct log_target){.fd = -1};
    target->facility = (int)message_get_i64(m);
    uint64_t level = message_get_u64(m);
    target->remote = message_get_u64(m) != 0;
    target->nameless = message_get_u64(m) != 0;
    struct slice tag = message_get_text(m), server = message_get_text(m);

    if (m->bad || level > LOG_DEBUG || tag.len > LOG_TAG_MAX ||
        (server.len > 0 && !addr_parse(server, 0, &target->server, &err)))
        return false;
    target->level = (enum log_level)level;
    memcpy(target->tag, tag.ptr, tag.len);
    target->tag[tag.len] = '\0';
    target->fd = message_take_fd(m, fd);
    return true;
}

void
log_targets_tell(const struct log_targets *targets, size_t i,
                 enum log_level level, enum log_format format,
                 struct message *m)
{
    message_init(m, MESSAGE_LOG);
    message_put_u64(m, level);
    message_put_u64(m, format);
    message_put_u64(m, i > 0);
    log_target_put(&targets->all[i], m, 0);
}
