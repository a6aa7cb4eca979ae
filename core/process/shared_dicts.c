#include "process/shared_dicts.h"

#include "base/slice.h"
#include "lua/dict.h"
#include "process/message.h"

#include <stdlib.h>
#include <unistd.h>

struct shared_dict {
    char *name;
    int fd;
};

bool
shared_dicts_create(struct shared_dicts *s, const struct plan *plan,
                    struct error *err)
{
    s->all = xcalloc(plan->dict_count + 1, sizeof *s->all);
    for (size_t i = 0; i < plan->dict_count; i++) {
        const struct plan_dict *wanted = &plan->dicts[i];
        int fd = dict_create(wanted->size, err);
        if (fd < 0)
            return error_context(err, "shared.%s", wanted->name);
        s->all[s->count++] = (struct shared_dict){
            xstrndup(wanted->name, strlen(wanted->name)), fd};
    }
    return true;
}

void
shared_dicts_close(struct shared_dicts *s)
{
    for (size_t i = 0; i < s->count; i++) {
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
