#include "net/dns_records.h"

#include "base/slice.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_LEN 12

/* A place in a reply, which compressed names refer back into. */
struct cursor {
    const unsigned char *reply;
    size_t len;
    size_t at;
};

static const struct {
    const char *name;
    int type;
} types[] = {
    {"A", ns_t_a},     {"AAAA", ns_t_aaaa}, {"CNAME", ns_t_cname},
    {"MX", ns_t_mx},   {"NS", ns_t_ns},     {"PTR", ns_t_ptr},
    {"SRV", ns_t_srv}, {"TXT", ns_t_txt},
};

int
dns_records_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(types[i].name, name) == 0)
            return types[i].type;
    }
    return 0;
}

static bool
skip(struct cursor *c, size_t n)
{
    if (n > c->len - c->at)
        return false;
    c->at += n;
    return true;
}

static bool
read_number(struct cursor *c, unsigned *value)
{
    const unsigned char *p = c->reply + c->at;

    if (!skip(c, 2))
        return false;
    *value = (unsigned)p[0] << 8 | p[1];
    return true;
}

static bool
read_ttl(struct cursor *c, uint32_t *ttl)
{
    unsigned high = 0;
    unsigned low = 0;

    if (!read_number(c, &high) || !read_number(c, &low))
        return false;
    *ttl = high << 16 | low;
    return true;
}

/* `*name` is c-ares's to free. */
static bool
read_name(struct cursor *c, char **name)
{
    long used = 0;

    return ares_expand_name(c->reply + c->at, c->reply, (int)c->len, name,
                            &used) == ARES_SUCCESS &&
           skip(c, (size_t)used);
}

static bool
skip_name(struct cursor *c)
{
    char *name = NULL;

    if (!read_name(c, &name))
        return false;
    ares_free_string(name);
    return true;
}

static void
add(struct dns_records *r, const char *bytes, size_t len)
{
    if (r->count == DNS_RECORDS_MAX)
        return;
    r->memory[r->count] = xstrndup(bytes, len);
    r->items[r->count] = (struct slice){r->memory[r->count], len};
    r->count++;
}

void
dns_records_add(struct dns_records *r, struct slice text)
{
    add(r, text.ptr, text.len);
}

void
dns_records_limit(struct dns_records *records, uint32_t ttl)
{
    if (ttl > INT32_MAX)
        ttl = 0;
    if (ttl < records->ttl)
        records->ttl = ttl;
}

static bool
add_address(struct cursor data, int family, struct dns_records *r)
{
    char text[INET6_ADDRSTRLEN];
    size_t size = family == AF_INET ? 4 : 16;

    if (data.len - data.at != size ||
        inet_ntop(family, data.reply + data.at, text, sizeof text) == NULL)
        return false;
    add(r, text, strlen(text));
    return true;
}

/* `numbers` of two bytes each, then a name. */
static bool
add_name(struct cursor data, int numbers, struct dns_records *r)
{
    char text[NS_MAXDNAME * 4 + 32];
    size_t len = 0;
    char *name = NULL;

    for (int i = 0; i < numbers; i++) {
        unsigned value = 0;
        if (!read_number(&data, &value))
            return false;
        len += (size_t)snprintf(text + len, sizeof text - len, "%u ", value);
    }
    if (!read_name(&data, &name))
        return false;
    (void)snprintf(text + len, sizeof text - len, "%s", name);
    ares_free_string(name);
    add(r, text, strlen(text));
    return true;
}

/* The strings of one record belong together (RFC 7208 3.3). */
static bool
add_text(struct cursor data, struct dns_records *r)
{
    char text[UINT16_MAX];
    size_t len = 0;

    while (data.at < data.len) {
        size_t n = data.reply[data.at++];
        const unsigned char *from = data.reply + data.at;
        if (!skip(&data, n))
            return false;
        memcpy(text + len, from, n);
        len += n;
    }
    add(r, text, len);
    return true;
}

static bool
add_record(struct cursor data, int type, struct dns_records *r)
{
    if (type == ns_t_a)
        return add_address(data, AF_INET, r);
    if (type == ns_t_aaaa)
        return add_address(data, AF_INET6, r);
    if (type == ns_t_txt)
        return add_text(data, r);
    return add_name(data, type == ns_t_mx ? 1 : type == ns_t_srv ? 3 : 0, r);
}

static bool
parse_answer(struct cursor *c, int type, struct dns_records *r)
{
    unsigned found = 0;
    unsigned size = 0;
    uint32_t ttl = 0;

    /* Name, type, class (2), time to live, size. */
    if (!skip_name(c) || !read_number(c, &found) || !skip(c, 2) ||
        !read_ttl(c, &ttl) || !read_number(c, &size))
        return false;
    dns_records_limit(r, ttl);
    struct cursor data = {c->reply, c->at + size, c->at};
    if (!skip(c, size))
        return false;
    return found != (unsigned)type || add_record(data, type, r);
}

bool
dns_records_parse(struct slice reply, int type, struct dns_records *records)
{
    struct cursor c = {(const unsigned char *)reply.ptr, reply.len, 4};
    unsigned questions = 0;
    unsigned answers = 0;

    if (reply.len < HEADER_LEN || !read_number(&c, &questions) ||
        !read_number(&c, &answers))
        return false;
    c.at = HEADER_LEN;
    for (; questions > 0; questions--) {
        if (!skip_name(&c) || !skip(&c, 4))
            return false;
    }
    for (; answers > 0; answers--) {
        if (!parse_answer(&c, type, records))
            return false;
    }
    return true;
}

static void
keep(struct dns_records *r, size_t count)
{
    while (r->count > count)
        free(r->memory[--r->count]);
}

void
dns_records_keep_first(struct dns_records *r)
{
    keep(r, 1);
    for (char *c = r->memory[0]; *c != '\0'; c++)
        *c = ascii_lower(*c);
}

void
dns_records_deinit(struct dns_records *r)
{
    keep(r, 0);
}
