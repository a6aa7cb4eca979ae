#include "net/dns_hosts.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct entry {
    char *name;
    struct addr addr;
    size_t place; /* in the file; the order of equal names */
};

struct dns_hosts {
    struct entry *entries; /* by name, then place */
    size_t count;
    size_t room;
};

static void
add(struct dns_hosts *h, const char *name, const struct addr *a)
{
    if (h->count == h->room) {
        h->room = h->room > 0 ? 2 * h->room : 16;
        h->entries = realloc(h->entries, h->room * sizeof *h->entries);
        require(h->entries != NULL);
    }
    h->entries[h->count] = (struct entry){
        .name = xstrndup(name, strlen(name)), .addr = *a, .place = h->count};
    h->count++;
}

/* "address name alias ... # comment"; lines that are not so are left out. */
static void
read_line(struct dns_hosts *h, char *line)
{
    const char *space = " \t\r\n";
    char *rest = NULL;
    struct addr a;

    line[strcspn(line, "#")] = '\0';
    const char *word = strtok_r(line, space, &rest);
    if (word == NULL || !addr_parse_ip(slice_of(word), 0, &a))
        return;
    while ((word = strtok_r(NULL, space, &rest)) != NULL)
        add(h, word, &a);
}

static int
compare(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int by_name = strcasecmp(a->name, b->name);

    if (by_name != 0)
        return by_name;
    return a->place < b->place ? -1 : a->place > b->place;
}

struct dns_hosts *
dns_hosts_read(const char *path)
{
    struct dns_hosts *h = xcalloc(1, sizeof *h);
    size_t size = 0;
    char *line = NULL;

    FILE *file = fopen(path, "re");
    if (file == NULL)
        return h;
    while (getline(&line, &size, file) >= 0)
        read_line(h, line);
    free(line);
    (void)fclose(file);
    if (h->count > 0)
        qsort(h->entries, h->count, sizeof *h->entries, compare);
    return h;
}

void
dns_hosts_free(struct dns_hosts *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->count; i++)
        free(h->entries[i].name);
    free(h->entries);
    free(h);
}

static int
compare_name(const struct entry *e, struct slice name)
{
    int order = strncasecmp(e->name, name.ptr, name.len);

    return order != 0 ? order : e->name[name.len] != '\0';
}

/* The first entry that is not before `name`. */
static size_t
lower_bound(const struct dns_hosts *h, struct slice name)
{
    size_t low = 0;
    size_t high = h->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_name(&h->entries[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
dns_hosts_find(const struct dns_hosts *h, struct slice name, int family,
               struct dns_found *found)
{
    size_t first = lower_bound(h, name);
    size_t i = first;

    found->count = 0;
    for (; i < h->count && compare_name(&h->entries[i], name) == 0; i++) {
        const struct addr *a = &h->entries[i].addr;
        if ((family == AF_UNSPEC || family == a->any.sa_family) &&
            found->count < DNS_FOUND_MAX)
            found->addresses[found->count++] = *a;
    }
    return i > first;
}
