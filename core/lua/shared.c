#include "lua/shared.h"

#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"

#include <stdlib.h>

struct named_dict {
    struct list link;
    char *name;
    struct dict *dict;
};

struct shared {
    struct list all;
    struct dict_holder holder;
    struct lease *owed;
    bool complete;
};

static struct named_dict *
named(struct list *link)
{
    return container_of(link, struct named_dict, link);
}

struct shared *
shared_new(void)
{
    struct shared *s = xcalloc(1, sizeof *s);

    list_init(&s->all);
    return s;
}

void
shared_free(struct shared *s)
{
    if (s == NULL)
        return;
    for (struct list *l = s->all.next, *next; l != &s->all; l = next) {
        struct named_dict *n = named(l);
        next = l->next;
        dict_close(n->dict);
        free(n->name);
        free(n);
    }
    free(s);
}

bool
shared_add(struct shared *s, struct slice name, int fd, struct error *err)
{
    struct dict *dict = dict_open(fd, err);
    struct named_dict *n;

    if (dict == NULL)
        return error_context(err, "shared.%.*s", (int)name.len, name.ptr);
    n = xcalloc(1, sizeof *n);
    n->name = xstrndup(name.ptr, name.len);
    n->dict = dict;
    list_append(&s->all, &n->link);
    return true;
}

static struct dict *
find(struct shared *s, struct slice name)
{
    for (struct list *l = s->all.next; l != &s->all; l = l->next) {
        if (slice_equal(slice_of(named(l)->name), name))
            return named(l)->dict;
    }
    return NULL;
}

struct dict *
shared_find(struct shared *s, struct slice name, size_t size, struct error *err)
{
    struct dict *dict = find(s, name);

    if (dict != NULL)
        return dict;
    require(!s->complete);
    int fd = dict_create(size, err);
    return fd >= 0 && shared_add(s, name, fd, err) ? find(s, name) : NULL;
}

void
shared_reap(struct shared *s, struct dict_holder next)
{
    for (struct list *l = s->all.next; l != &s->all; l = l->next) {
        enum dict_result result = dict_reap(named(l)->dict, next);
        if (result != DICT_DONE)
            log_error("shared.%s: leases of worker %u are kept for now",
                      named(l)->name, next.worker);
    }
}

void
shared_hold_as(struct shared *s, struct dict_holder holder)
{
    s->holder = holder;
    s->complete = true;
    shared_reap(s, holder);
}

struct lease **
shared_owed(struct shared *s)
{
    return &s->owed;
}

struct dict_holder
shared_holder(const struct shared *s)
{
    return s->holder;
}
