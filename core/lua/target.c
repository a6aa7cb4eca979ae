#include "lua/target.h"

#include "base/base64.h"
#include "base/slice.h"
#include "net/addr.h"

#include <stdio.h>
#include <string.h>

#define HOST_MAX      253
#define POOL_NAME_MAX 64
#define POOL          S("pool:")

static bool
is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"\\,/@()<>{}", c) != NULL)
            return false;
    }
    return s.len > 0;
}

static bool
set_local(struct slice host, struct target *t, struct error *err)
{
    struct addr a;

    if (!addr_parse(host, 0, &a, err))
        return false;
    t->host = host;
    t->port = 0;
    return true;
}

bool
target_set_host(struct slice host, struct target *t, struct error *err)
{
    struct slice bare = host;
    struct addr a;

    if (slice_has_prefix(host, S("unix:")))
        return set_local(host, t, err);
    if (bare.len > 2 && bare.ptr[0] == '[' && bare.ptr[bare.len - 1] == ']')
        bare = (struct slice){bare.ptr + 1, bare.len - 2};
    bool literal = addr_parse_ip(bare, 0, &a);
    if (!literal && (bare.len != host.len || host.len > HOST_MAX ||
                     !is_word(host) || slice_find(host, ':') < host.len))
        return error_set(err, "\"%.*s\" is not a host",
                         host.len < 100 ? (int)host.len : 100, host.ptr);
    t->host = bare;
    return true;
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool
target_is_pool_name(struct slice name)
{
    if (name.len == 0 || name.len > POOL_NAME_MAX || !is_letter(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter(c) && c != '-' && (c < '0' || c > '9'))
            return false;
    }
    return true;
}

/* Digits are the port of a host called "pool". */
static bool
is_pool(struct slice text)
{
    return slice_has_prefix(text, POOL) &&
           target_is_pool_name(slice_drop(text, POOL.len));
}

static bool
parse_port(struct slice text, uint16_t *port)
{
    return addr_parse_port(text, port) && *port > 0;
}

bool
target_parse(struct slice text, struct target *t, struct error *err)
{
    struct slice host = text;
    struct addr a;
    uint16_t port = 0;

    if (slice_has_prefix(text, S("unix:")))
        return set_local(text, t, err);
    if (is_pool(text)) {
        t->pool = slice_drop(text, POOL.len);
        t->host = (struct slice){0};
        return true;
    }
    /* A bare IPv6 address has colons, two at the least, but no port. */
    const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    if (colon != NULL && (slice_find(text, ':') == (size_t)(colon - text.ptr) ||
                          !addr_parse_ip(text, 0, &a))) {
        host = slice_take(text, (size_t)(colon - text.ptr));
        if (!parse_port(slice_drop(text, host.len + 1), &port))
            return error_set(err, "\"%.*s\" has no port from 1 to 65535",
                             text.len < 100 ? (int)text.len : 100, text.ptr);
    }
    if (!target_set_host(host, t, err))
        return false;
    t->port = port;
    return true;
}

bool
target_parse_pin(struct slice text, unsigned char pin[TLS_PIN_SIZE])
{
    struct slice head = S("sha256/");
    char bytes[48];
    size_t len = 0;

    if (!slice_has_prefix(text, head) || text.len != head.len + 44 ||
        !base64_decode(slice_drop(text, head.len), bytes, &len) ||
        len != TLS_PIN_SIZE)
        return false;
    memcpy(pin, bytes, TLS_PIN_SIZE);
    return true;
}

static const char *const tls_names[] = {
    [TLS_OFF] = "off",
    [TLS_STARTTLS] = "starttls",
    [TLS_IMPLICIT] = "implicit",
};

const char *
target_tls_name(enum tls_mode mode)
{
    return tls_names[mode];
}

bool
target_tls_mode(struct slice name, enum tls_mode *mode)
{
    for (size_t i = 0; i < sizeof tls_names / sizeof *tls_names; i++) {
        if (slice_equal(name, slice_of(tls_names[i]))) {
            *mode = (enum tls_mode)i;
            return true;
        }
    }
    return false;
}

uint16_t
target_port(const struct target *t, const struct proto *proto)
{
    if (t->port != 0)
        return t->port;
    return t->tls == TLS_IMPLICIT ? proto->port_tls : proto->port;
}

struct slice
target_format(const struct target *t, const struct proto *proto,
              char out[TARGET_TEXT_MAX])
{
    bool local = slice_has_prefix(t->host, S("unix:"));

    if (t->host.len == 0)
        (void)snprintf(out, TARGET_TEXT_MAX, "pool:%.*s", (int)t->pool.len,
                       t->pool.ptr);
    else
        place_format(t->host, local ? 0 : target_port(t, proto), out);
    return slice_of(out);
}
