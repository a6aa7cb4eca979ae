/* list.h -- intrusive doubly linked list with a head; no allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A head, or a link inside the object that is listed. */
struct list {
    struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool
list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Puts `item` last.  It must not be in a list. */
static inline void
list_append(struct list *head, struct list *item)
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Takes `item` out; doing so twice is harmless. */
static inline void
list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}
