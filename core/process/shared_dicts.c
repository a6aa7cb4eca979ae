#include "process/shared_dicts.h"

#include "base/slice.h"
#include "lua/dict.h"
#include "process/message.h"

#include <stdlib.h>
#include <unistd.h>

#define KEPT_TICKS 10 /* a second */

struct shared_dict {
    char *name;
    int fd;
    const struct dict_page *page;
    struct dict_hold hold; /* of the last tick */
    unsigned kept;         /* ticks since when it is the same */
};

static bool
create(struct shared_dict *d, const struct plan_dict *wanted, struct error *err)
{
    d->name = xstrndup(wanted->name, strlen(wanted->name));
    d->fd = dict_create(wanted->size, err);
    if (d->fd >= 0)
        d->page = dict_watch(d->fd, err);
    return d->page != NULL || error_context(err, "shared.%s", wanted->name);
}

bool
shared_dicts_create(struct shared_dicts *s, const struct plan *plan,
                    struct error *err)
{
    s->all = xcalloc(plan->dict_count + 1, sizeof *s->all);
    for (size_t i = 0; i < plan->dict_count; i++) {
        if (!create(&s->all[s->count++], &plan->dicts[i], err))
            return false;
    }
    return true;
}

void
shared_dicts_close(struct shared_dicts *s)
{
    for (size_t i = 0; i < s->count; i++) {
        dict_unwatch(s->all[i].page);
        if (s->all[i].fd >= 0)
            (void)close(s->all[i].fd);
        free(s->all[i].name);
    }
    free(s->all);
    *s = (struct shared_dicts){0};
}

bool
shared_dicts_send(const struct shared_dicts *s, int fd, struct error *err)
{
    struct message m;

    for (size_t i = 0; i < s->count; i++) {
        message_init(&m, MESSAGE_DICT);
        message_put_text(&m, slice_of(s->all[i].name));
        m.fds[0] = s->all[i].fd;
        if (!message_send_wait(fd, &m, err))
            return false;
    }
    return true;
}

/* Ticks, since no time goes by for a gateway that is frozen as a whole. */
void
shared_dicts_tick(struct shared_dicts *s,
                  void (*kept)(void *arg, pid_t process, const char *name),
                  void *arg)
{
    for (size_t i = 0; i < s->count; i++) {
        struct shared_dict *d = &s->all[i];
        struct dict_hold hold = dict_hold_of(d->page);
        bool same = hold.process != 0 && hold.process == d->hold.process &&
                    hold.number == d->hold.number;
        d->hold = hold;
        d->kept = same ? d->kept + 1 : 0;
        if (d->kept == KEPT_TICKS)
            kept(arg, hold.process, d->name);
    }
}
