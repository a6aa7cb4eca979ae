#include "net/addr.h"

#include "base/decimal.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535

/* The address's own view of its storage; memory is shared by the union. */
static struct sockaddr_in *
as_v4(struct addr *a)
{
    return (struct sockaddr_in *)(void *)&a->storage;
}

static struct sockaddr_in6 *
as_v6(struct addr *a)
{
    return (struct sockaddr_in6 *)(void *)&a->storage;
}

bool
addr_parse_port(struct slice text, uint16_t *port)
{
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    size_t value = slice_to_size(text);
    if (value > PORT_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* As inet_pton, which wants a NUL: four numbers without leading zeros. */
static bool
parse_v4(struct slice text, struct in_addr *a)
{
    uint32_t address = 0, octet = 0;
    size_t digits = 0, dots = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (text.ptr[i] == '.' && digits > 0 && ++dots < 4) {
            address = address << 8 | octet;
            octet = 0;
            digits = 0;
            continue;
        }
        if (digit > 9 || (digits > 0 && octet == 0))
            return false;
        octet = octet * 10 + digit;
        digits++;
        if (octet > 255)
            return false;
    }
    a->s_addr = htonl(address << 8 | octet);
    return digits > 0 && dots == 3;
}

/* A host with a port looks much like an IPv6 address, and is asked about more
 * often. */
static bool
has_two_colons(struct slice text)
{
    (void)slice_cut(&text, ':');
    return slice_find(text, ':') < text.len;
}

static bool
parse_v6(struct slice text, struct in6_addr *a)
{
    char copy[INET6_ADDRSTRLEN];

    if (!has_two_colons(text) || text.len >= sizeof copy ||
        slice_find(text, '\0') < text.len)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, a) == 1;
}

bool
addr_parse_ip(struct slice text, uint16_t port, struct addr *a)
{
    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_take(slice_drop(text, 1), text.len - 2);
    if (text.len == 0)
        return false;

    *a = (struct addr){0};
    if (parse_v4(text, &as_v4(a)->sin_addr)) {
        as_v4(a)->sin_family = AF_INET;
        as_v4(a)->sin_port = htons(port);
        a->len = sizeof(struct sockaddr_in);
        return true;
    }
    if (parse_v6(text, &as_v6(a)->sin6_addr)) {
        as_v6(a)->sin6_family = AF_INET6;
        as_v6(a)->sin6_port = htons(port);
        a->len = sizeof(struct sockaddr_in6);
        return true;
    }
    return false;
}

static bool
parse_local(struct slice path, struct addr *a, struct error *err)
{
    *a = (struct addr){0};
    if (path.len == 0 || path.ptr[0] != '/')
        return error_set(err, "the path of a unix socket begins with \"/\"");
    if (path.len >= sizeof a->local.sun_path)
        return error_set(err, "the path of a unix socket has at most %zu bytes",
                         sizeof a->local.sun_path - 1);
    if (slice_find(path, '\0') < path.len)
        return error_set(err, "the path of a unix socket holds a NUL");
    a->local.sun_family = AF_UNIX;
    memcpy(a->local.sun_path, path.ptr, path.len);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

/* Where the ":port" begins, or text.len: the last colon behind the brackets,
 * and none in an IPv6 address without brackets. */
static size_t
find_port(struct slice text)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t close = slice_find(text, ']');
        size_t at = close + 1;
        return at < text.len && text.ptr[at] == ':' ? at : text.len;
    }
    size_t first = slice_find(text, ':');
    return has_two_colons(text) ? text.len : first;
}

bool
addr_parse(struct slice text, uint16_t default_port, struct addr *a,
           struct error *err)
{
    uint16_t port = default_port;

    if (slice_has_prefix(text, S("unix:")))
        return parse_local(slice_drop(text, 5), a, err);

    size_t colon = find_port(text);
    struct slice host = slice_take(text, colon);
    if (colon < text.len &&
        !addr_parse_port(slice_drop(text, colon + 1), &port))
        return error_set(err, "a port is a number from 0 to %d", PORT_MAX);
    if (colon == text.len && default_port == 0)
        return error_set(err, "the port is missing (as in \"127.0.0.1:143\")");
    if (slice_equal(host, S("*")))
        host = S("0.0.0.0");
    if (!addr_parse_ip(host, port, a))
        return error_set(err, "not an IP address (IPv4, or IPv6 in brackets)");
    return true;
}

bool
addr_is_local(const struct addr *a)
{
    return a->len > 0 && a->any.sa_family == AF_UNIX;
}

bool
addr_is_any(const struct addr *a)
{
    const void *start = &a->storage;

    if (a->any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = start;
        return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) != 0;
    }
    const struct sockaddr_in *v4 = start;
    return a->any.sa_family == AF_INET && v4->sin_addr.s_addr == INADDR_ANY;
}

uint16_t
addr_port(const struct addr *a)
{
    if (a->len == 0 || addr_is_local(a))
        return 0;
    /* The port is at the same place for both families. */
    return ntohs(
        ((const struct sockaddr_in *)(const void *)&a->storage)->sin_port);
}

void
addr_set_port(struct addr *a, uint16_t port)
{
    as_v4(a)->sin_port = htons(port);
}

static size_t
put_octet(char *out, uint32_t octet)
{
    size_t len = 0;

    if (octet >= 100)
        out[len++] = (char)('0' + octet / 100);
    if (octet >= 10)
        out[len++] = (char)('0' + octet / 10 % 10);
    out[len++] = (char)('0' + octet % 10);
    return len;
}

/* inet_ntop is printf's, and addresses are written several times a login. */
static void
format_v4(const struct sockaddr_in *v4, char out[ADDR_TEXT_MAX])
{
    uint32_t address = ntohl(v4->sin_addr.s_addr);
    size_t len = 0;

    for (int shift = 24; shift >= 0; shift -= 8) {
        len += put_octet(out + len, address >> shift & 255U);
        out[len++] = shift > 0 ? '.' : '\0';
    }
}

const char *
addr_format_ip(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    const void *start = &a->storage;

    out[0] = '\0';
    if (a->len == 0)
        return out;
    if (a->any.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = start;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
    } else if (a->any.sa_family == AF_INET) {
        format_v4(start, out);
    } else {
        memcpy(out, "unix:", sizeof "unix:");
    }
    return out;
}

static void
join(struct slice host, unsigned port, char *out)
{
    bool v6 = slice_find(host, ':') < host.len;
    size_t len = 0;

    if (v6)
        out[len++] = '[';
    memcpy(out + len, host.ptr, host.len);
    len += host.len;
    if (v6)
        out[len++] = ']';
    out[len++] = ':';
    len += decimal_put(out + len, port);
    out[len] = '\0';
}

/* The kernel returns an unnamed peer as nothing but a family. */
static const char *
format_local(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t len = a->len > head ? a->len - head : 0;

    (void)snprintf(out, ADDR_TEXT_MAX, "unix:%.*s", (int)len,
                   a->local.sun_path);
    return out;
}

const char *
addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char ip[ADDR_TEXT_MAX];

    out[0] = '\0';
    if (a->len == 0)
        return out;
    if (addr_is_local(a))
        return format_local(a, out);

    addr_format_ip(a, ip);
    join(slice_of(ip), addr_port(a), out);
    return out;
}

void
place_format(struct slice host, unsigned port, char out[PLACE_TEXT_MAX])
{
    host = slice_take(host, 255);
    if (port > 0) {
        join(host, port, out);
        return;
    }
    memcpy(out, host.ptr, host.len);
    out[host.len] = '\0';
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
    const void *x = &a->storage, *y = &b->storage;
    const struct sockaddr_in *x4 = x, *y4 = y;
    const struct sockaddr_in6 *x6 = x, *y6 = y;

    if (a->len == 0 || b->len == 0 || a->any.sa_family != b->any.sa_family)
        return false;
    if (addr_is_local(a))
        return strncmp(a->local.sun_path, b->local.sun_path,
                       sizeof a->local.sun_path) == 0;
    if (a->any.sa_family == AF_INET)
        return x4->sin_addr.s_addr == y4->sin_addr.s_addr &&
               x4->sin_port == y4->sin_port;
    return memcmp(&x6->sin6_addr, &y6->sin6_addr, sizeof x6->sin6_addr) == 0 &&
           x6->sin6_port == y6->sin6_port;
}
