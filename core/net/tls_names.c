#include "net/tls_names.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/tls_identity.h"

#include <stdlib.h>

#define NAME_MAX_LEN 253

struct entry {
    char *name; /* lower case */
    size_t order;
    struct tls_identity *identity;
};

struct tls_names {
    struct entry *entries; /* sorted by name, then order */
    size_t count, room;
};

struct adding {
    struct tls_names *names;
    struct tls_identity *identity;
};

static void
add(void *arg, struct slice name)
{
    struct adding *a = arg;
    struct tls_names *n = a->names;

    if (n->count == n->room) {
        n->room = n->room == 0 ? 8 : 2 * n->room;
        n->entries = realloc(n->entries, n->room * sizeof *n->entries);
        require(n->entries != NULL);
    }
    char *copy = xstrndup(name.ptr, name.len);
    for (char *at = copy; *at != '\0'; at++)
        *at = ascii_lower(*at);
    n->entries[n->count] =
        (struct entry){copy, n->count, tls_identity_ref(a->identity)};
    n->count++;
}

static int
compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    if (order != 0)
        return order;
    return a->order < b->order ? -1 : a->order > b->order;
}

struct tls_names *
tls_names_new(const struct tls_name *each, size_t count)
{
    struct tls_names *n = xcalloc(1, sizeof *n);

    for (size_t i = 0; i < count; i++) {
        struct adding a = {n, each[i].identity};
        if (each[i].name.len > 0)
            add(&a, each[i].name);
        else
            tls_identity_each_name(each[i].identity, add, &a);
    }
    if (n->count > 0)
        qsort(n->entries, n->count, sizeof *n->entries, compare);
    return n;
}

void
tls_names_free(struct tls_names *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->count; i++) {
        free(n->entries[i].name);
        tls_identity_unref(n->entries[i].identity);
    }
    free(n->entries);
    free(n);
}

/* The first entry of this name. */
static struct tls_identity *
look_up(const struct tls_names *n, const char *name)
{
    size_t low = 0, high = n->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(n->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n->count || strcmp(n->entries[low].name, name) != 0)
        return NULL;
    return n->entries[low].identity;
}

struct tls_identity *
tls_names_find(const struct tls_names *n, struct slice name)
{
    char text[NAME_MAX_LEN + 2];

    if (n->count == 0 || name.len == 0 || name.len > NAME_MAX_LEN)
        return NULL;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    struct tls_identity *exact = look_up(n, text);
    size_t dot = slice_find(name, '.');
    if (exact != NULL || dot == 0 || dot == name.len)
        return exact;
    /* "mail.example.org" becomes "*.example.org", in place. */
    text[dot - 1] = '*';
    return look_up(n, text + dot - 1);
}
