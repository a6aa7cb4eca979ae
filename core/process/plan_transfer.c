#include "process/plan_transfer.h"

#include "base/slice.h"
#include "process/message.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS_MAX   1024
#define LISTENERS_MAX 4096
#define FILES_MAX     8192
#define DICTS_MAX     256

void
evaluation_init(struct evaluation *e)
{
    *e = (struct evaluation){.bundle = -1};
}

void
evaluation_deinit(struct evaluation *e)
{
    plan_deinit(&e->plan);
    if (e->bundle >= 0)
        (void)close(e->bundle);
    evaluation_init(e);
}

static bool
send_plan(int fd, const struct evaluation *e, struct error *err)
{
    const struct plan *plan = &e->plan;
    struct message m;

    message_init(&m, MESSAGE_PLAN);
    message_put_u64(&m, plan->workers);
    message_put_u64(&m, plan->log_level);
    message_put_u64(&m, plan->log_format);
    message_put_text(&m, slice_of(plan->log_targets));
    message_put_text(&m,
                     slice_of(plan->resolver != NULL ? plan->resolver : ""));
    message_put_double(&m, plan->valid);
    message_put_double(&m, plan->shutdown_timeout);
    message_put_u64(&m, plan->listener_count);
    message_put_u64(&m, plan->watch);
    message_put_u64(&m, e->identity.change);
    message_put_u64(&m, e->identity.uid);
    message_put_u64(&m, e->identity.gid);
    message_put_text(&m,
                     slice_of(plan->pid_file != NULL ? plan->pid_file : ""));
    message_put_u64(&m, plan->descriptors);
    message_put_text(&m, slice_of(plan->control != NULL ? plan->control : ""));
    message_put_i64(&m, plan->control_socket.mode);
    message_put_u64(&m, plan->control_socket.owned);
    message_put_u64(&m, plan->control_socket.owner);
    message_put_u64(&m, plan->control_socket.group);
    return message_send_wait(fd, &m, err);
}

static bool
send_listener(int fd, const struct plan_listener *l, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_LISTENER);
    message_put_text(&m, slice_of(l->name));
    message_put_text(&m, slice_of(l->address));
    message_put_i64(&m, l->socket.backlog);
    message_put_u64(&m, l->socket.reuse_port);
    message_put_u64(&m, l->socket.ipv6_only);
    message_put_i64(&m, l->socket.keepalive_idle);
    message_put_i64(&m, l->socket.keepalive_interval);
    message_put_i64(&m, l->socket.keepalive_count);
    message_put_i64(&m, l->socket.receive_buffer);
    message_put_i64(&m, l->socket.send_buffer);
    message_put_i64(&m, l->socket.mode);
    return message_send_wait(fd, &m, err);
}

static bool
send_file(int fd, enum message_type type, const struct plan_file *f,
          struct error *err)
{
    struct message m;

    message_init(&m, type);
    message_put_text(&m, slice_of(f->path));
    message_put_i64(&m, f->stamp.seconds);
    message_put_i64(&m, f->stamp.nanoseconds);
    message_put_u64(&m, f->stamp.size);
    message_put_u64(&m, f->stamp.inode);
    return message_send_wait(fd, &m, err);
}

static bool
send_files(int fd, enum message_type type, const struct plan_files *files,
           struct error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        if (!send_file(fd, type, &files->all[i], err))
            return false;
    }
    return true;
}

bool
plan_send_files(int fd, const struct plan *plan, struct error *err)
{
    return send_files(fd, MESSAGE_FILE, &plan->tls, err);
}

bool
plan_send_staples(int fd, const struct plan *plan, struct error *err)
{
    struct message m;

    for (size_t i = 0; i < plan->staple_count; i++) {
        const struct plan_staple *s = &plan->staples[i];
        message_init(&m, MESSAGE_STAPLING);
        message_put_text(&m, slice_of(s->name));
        message_put_text(&m, slice_of(s->responder));
        message_put_text(&m, slice_of(s->chain));
        message_put_u64(&m, s->must);
        if (!message_send_wait(fd, &m, err))
            return error_context(err, "stapling of \"%s\"", s->name);
    }
    return true;
}

static bool
send_dicts(int fd, const struct plan *plan, struct error *err)
{
    struct message m;

    for (size_t i = 0; i < plan->dict_count; i++) {
        message_init(&m, MESSAGE_TABLE);
        message_put_text(&m, slice_of(plan->dicts[i].name));
        message_put_u64(&m, plan->dicts[i].size);
        if (!message_send_wait(fd, &m, err))
            return false;
    }
    return true;
}

bool
bundle_send(int fd, const struct evaluation *e, struct error *err)
{
    struct message m;

    message_init(&m, MESSAGE_BUNDLE);
    message_put_text(&m, slice_of(e->hash));
    m.fds[0] = e->bundle;
    return message_send_wait(fd, &m, err);
}

bool
bundle_take(struct evaluation *e, struct message *m)
{
    struct slice hash = message_get_text(m);

    if (!message_is_whole(m) || e->bundle >= 0 || hash.len >= sizeof e->hash)
        return false;
    memcpy(e->hash, hash.ptr, hash.len);
    e->hash[hash.len] = '\0';
    e->bundle = message_take_fd(m, 0);
    return true;
}

bool
evaluation_send(int fd, const struct evaluation *e, struct error *err)
{
    if (!send_plan(fd, e, err))
        return false;
    for (size_t i = 0; i < e->plan.listener_count; i++) {
        if (!send_listener(fd, &e->plan.listeners[i], err))
            return false;
    }
    if (!plan_send_files(fd, &e->plan, err) ||
        !send_files(fd, MESSAGE_SOURCE, &e->plan.sources, err) ||
        !send_dicts(fd, &e->plan, err) || !plan_send_staples(fd, &e->plan, err))
        return false;
    return bundle_send(fd, e, err);
}

static char *
take_text(struct message *m)
{
    struct slice text = message_get_text(m);
    return xstrndup(text.ptr, text.len);
}

static void
take_control(struct plan *plan, struct message *m)
{
    char *address = take_text(m);

    plan->control = *address != '\0' ? address : NULL;
    if (plan->control == NULL)
        free(address);
    plan->control_socket.mode = (int)message_get_i64(m);
    plan->control_socket.owned = message_get_u64(m) != 0;
    plan->control_socket.owner = (uid_t)message_get_u64(m);
    plan->control_socket.group = (gid_t)message_get_u64(m);
}

static bool
take_plan(struct evaluation *e, struct message *m)
{
    struct plan *plan = &e->plan;
    uint64_t workers = message_get_u64(m), level = message_get_u64(m);
    uint64_t format = message_get_u64(m), listeners;

    if (plan->listeners != NULL)
        return false;
    plan->log_targets = take_text(m);
    plan->resolver = take_text(m);
    plan->valid = message_get_double(m);
    plan->shutdown_timeout = message_get_double(m);
    listeners = message_get_u64(m);
    plan->watch = message_get_u64(m) != 0;
    e->identity.change = message_get_u64(m) != 0;
    e->identity.uid = (uid_t)message_get_u64(m);
    e->identity.gid = (gid_t)message_get_u64(m);
    plan->pid_file = take_text(m);
    plan->descriptors = (unsigned)message_get_u64(m);
    take_control(plan, m);
    if (!message_is_whole(m) || workers < 1 || workers > WORKERS_MAX ||
        level > LOG_DEBUG || format > LOG_JSON || listeners < 1 ||
        listeners > LISTENERS_MAX)
        return false;
    plan->workers = (unsigned)workers;
    plan->log_level = (enum log_level)level;
    plan->log_format = (enum log_format)format;
    plan->listeners = xcalloc(listeners, sizeof *plan->listeners);
    plan->listener_count = listeners;
    return true;
}

/* The next one whose name is not known yet. */
static bool
take_listener(struct evaluation *e, struct message *m)
{
    struct plan_listener *l = e->plan.listeners;
    struct plan_listener *end = l + e->plan.listener_count;

    while (l < end && l->name != NULL)
        l++;
    if (l == end)
        return false;
    l->name = take_text(m);
    l->address = take_text(m);
    l->socket.backlog = (int)message_get_i64(m);
    l->socket.reuse_port = message_get_u64(m) != 0;
    l->socket.ipv6_only = message_get_u64(m) != 0;
    l->socket.keepalive_idle = (int)message_get_i64(m);
    l->socket.keepalive_interval = (int)message_get_i64(m);
    l->socket.keepalive_count = (int)message_get_i64(m);
    l->socket.receive_buffer = (int)message_get_i64(m);
    l->socket.send_buffer = (int)message_get_i64(m);
    l->socket.mode = (int)message_get_i64(m);
    return message_is_whole(m);
}

static bool
take_file(struct plan_files *files, struct message *m)
{
    struct slice path = message_get_text(m);
    struct file_stamp stamp;

    stamp.seconds = message_get_i64(m);
    stamp.nanoseconds = message_get_i64(m);
    stamp.size = message_get_u64(m);
    stamp.inode = message_get_u64(m);
    if (!message_is_whole(m) || files->count >= FILES_MAX)
        return false;
    plan_files_add(files, path, &stamp);
    return true;
}

bool
plan_take_file(struct plan *plan, struct message *m)
{
    return take_file(&plan->tls, m);
}

bool
plan_take_staple(struct plan *plan, struct message *m)
{
    struct plan_staple s;

    if (plan->staple_count >= FILES_MAX)
        return false;
    s.name = take_text(m);
    s.responder = take_text(m);
    s.chain = take_text(m);
    s.must = message_get_u64(m) != 0;
    plan_add_staple(plan, &s);
    return message_is_whole(m);
}

static bool
take_dict(struct plan *plan, struct message *m)
{
    struct slice name = message_get_text(m);
    uint64_t size = message_get_u64(m);

    if (!message_is_whole(m) || plan->dict_count >= DICTS_MAX)
        return false;
    plan_add_dict(plan, name, (size_t)size);
    return true;
}

/* The last one: everything else must have come. */
static bool
take_bundle(struct evaluation *e, struct message *m)
{
    size_t count = e->plan.listener_count;

    return count > 0 && e->plan.listeners[count - 1].name != NULL &&
           bundle_take(e, m);
}

bool
evaluation_take(struct evaluation *e, struct message *m, bool *complete)
{
    if (m->type == MESSAGE_PLAN)
        return take_plan(e, m);
    if (m->type == MESSAGE_LISTENER)
        return take_listener(e, m);
    if (m->type == MESSAGE_FILE)
        return plan_take_file(&e->plan, m);
    if (m->type == MESSAGE_SOURCE)
        return take_file(&e->plan.sources, m);
    if (m->type == MESSAGE_TABLE)
        return take_dict(&e->plan, m);
    if (m->type == MESSAGE_STAPLING)
        return plan_take_staple(&e->plan, m);
    if (m->type != MESSAGE_BUNDLE)
        return false;
    *complete = true;
    return take_bundle(e, m);
}
