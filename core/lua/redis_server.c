#include "lua/redis_server.h"

#include "base/digest.h"
#include "base/slice.h"
#include "proto/dialog.h"

#include <stdio.h>
#include <string.h>

#define PORT 6379

static void
login_init(struct redis_login *l)
{
    buf_init(&l->user, REDIS_CREDENTIAL_MAX);
    buf_init(&l->password, REDIS_CREDENTIAL_MAX);
}

static void
login_deinit(struct redis_login *l)
{
    buf_deinit(&l->user);
    buf_deinit(&l->password);
}

void
redis_server_init(struct redis_server *s)
{
    *s = (struct redis_server){0};
    login_init(&s->login);
    login_init(&s->sentinel_login);
}

void
redis_server_deinit(struct redis_server *s)
{
    login_deinit(&s->login);
    login_deinit(&s->sentinel_login);
}

static bool
set_host(struct redis_place *p, struct slice host)
{
    if (host.len == 0 || host.len >= sizeof p->host || has_control(host) ||
        slice_find(host, ' ') < host.len)
        return false;
    memcpy(p->host, host.ptr, host.len);
    p->host[host.len] = '\0';
    return true;
}

static bool
to_number(struct slice digits, size_t max, size_t *number)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
    }
    *number = slice_to_size(digits);
    return digits.len > 0 && *number <= max;
}

/* "[::1]:port", "host:port", a bare IPv6 address. */
static bool
split(struct slice text, struct slice *host, struct slice *port)
{
    *port = (struct slice){0};
    if (slice_has_prefix(text, S("["))) {
        *host = slice_take(slice_drop(text, 1),
                           slice_find(slice_drop(text, 1), ']'));
        text = slice_drop(text, host->len + 2);
        if (text.len == 0)
            return true;
        *port = slice_drop(text, 1);
        return text.ptr[0] == ':';
    }
    *host = slice_cut(&text, ':');
    if (text.ptr != NULL && slice_find(text, ':') < text.len)
        return false;
    if (text.len > 0)
        *port = text;
    return true;
}

bool
redis_place_parse(struct redis_place *p, struct slice text,
                  uint16_t port_default)
{
    struct slice host, port;
    size_t number = port_default;

    *p = (struct redis_place){0};
    if (slice_has_prefix(text, S("unix:/")))
        return text.len < 5 + 108 && set_host(p, text);
    if (!split(text, &host, &port) || !set_host(p, host) ||
        slice_find(host, '/') < host.len)
        return false;
    if (port.len > 0 && (!to_number(port, 65535, &number) || number == 0))
        return false;
    p->port = (uint16_t)number;
    return true;
}

static int
hex_digit(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-encoding undone; false if it is broken. */
static bool
decode(struct buf *out, struct slice text)
{
    buf_deinit(out);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3 || hex_digit(text.ptr[i + 1]) < 0 ||
                hex_digit(text.ptr[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(text.ptr[i + 1]) * 16 +
                       hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        if (!buf_append(out, (struct slice){&c, 1}))
            return false;
    }
    return true;
}

/* Where the last '@' is: a password may have one that was not encoded. */
static size_t
last_at(struct slice text)
{
    const char *at = text.len > 0 ? memrchr(text.ptr, '@', text.len) : NULL;

    return at != NULL ? (size_t)(at - text.ptr) : text.len;
}

static bool
parse_remote(struct redis_server *s, struct slice rest, bool hostless)
{
    size_t number;
    size_t at = last_at(rest);

    if (at < rest.len) {
        struct slice password = slice_take(rest, at);
        struct slice user = slice_cut(&password, ':');
        rest = slice_drop(rest, at + 1);
        if (!decode(&s->login.user, user) ||
            !decode(&s->login.password, password))
            return false;
    }
    struct slice host = slice_cut(&rest, '/');
    if (rest.len > 0) {
        if (!to_number(rest, REDIS_DATABASE_MAX, &number))
            return false;
        s->database = (unsigned)number;
    }
    if (host.len == 0)
        return hostless;
    return redis_place_parse(&s->place, host, PORT);
}

bool
redis_server_parse(struct redis_server *s, struct slice url, bool hostless,
                   struct error *err)
{
    struct slice rest = url;
    bool ok;

    if (slice_has_prefix(url, S("unix:/"))) {
        ok = !hostless && redis_place_parse(&s->place, url, PORT);
    } else {
        s->tls = slice_has_prefix(url, S("rediss://"));
        if (!s->tls && !slice_has_prefix(url, S("redis://")))
            rest.len = 0;
        rest = slice_drop(rest, s->tls ? 9 : 8);
        ok = (rest.len > 0 || hostless) && parse_remote(s, rest, hostless);
    }
    if (ok)
        return true;
    return error_set(err, "url: redis[s]://[user[:password]@]host[:port]"
                          "[/database] or unix:/path is expected");
}

void
redis_server_name(struct redis_server *s)
{
    const char *scheme = s->tls ? "rediss" : "redis";
    const char *host = s->place.host;
    bool v6 = strchr(host, ':') != NULL;

    if (s->sentinel_count > 0)
        (void)snprintf(s->name, sizeof s->name, "%s://%s/%u (by Sentinel)",
                       scheme, s->master, s->database);
    else if (s->place.port == 0)
        (void)snprintf(s->name, sizeof s->name, "%s", host);
    else
        (void)snprintf(s->name, sizeof s->name,
                       v6 ? "%s://[%s]:%u/%u" : "%s://%s:%u/%u", scheme, host,
                       s->place.port, s->database);
}

/* Each with its length in front, so that nothing can be read in two ways. */
static bool
put(struct buf *out, struct slice bytes)
{
    return buf_printf(out, "%zu:", bytes.len) && buf_append(out, bytes);
}

void
redis_server_digest(const struct redis_server *s, struct slice tls,
                    char hex[64])
{
    struct buf all;
    bool ok;

    buf_init(&all, (size_t)64 << 10);
    ok = put(&all, slice_of(s->name)) && put(&all, buf_bytes(&s->login.user)) &&
         put(&all, buf_bytes(&s->login.password)) &&
         put(&all, buf_bytes(&s->sentinel_login.user)) &&
         put(&all, buf_bytes(&s->sentinel_login.password)) &&
         put(&all, slice_of(s->master)) && put(&all, tls) &&
         buf_printf(&all, "%u", s->database);
    for (size_t i = 0; ok && i < s->sentinel_count; i++)
        ok = put(&all, slice_of(s->sentinels[i].host)) &&
             buf_printf(&all, "%u", s->sentinels[i].port);
    require(ok); /* all of it is bounded */
    digest_sha256(buf_bytes(&all), hex);
    buf_deinit(&all);
}
