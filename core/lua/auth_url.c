#include "lua/auth_url.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/addr.h"

#include <stdlib.h>

#define URL_MAX  2048
#define HOST_MAX 253

static bool
is_graphic(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

static bool
is_host(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == '_';
        if (!plain)
            return false;
    }
    return s.len > 0 && s.len <= HOST_MAX;
}

static bool
is_v6(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' ||
              c == '.'))
            return false;
    }
    return s.len > 0;
}

static void
set_uri(struct auth_url *url, struct slice uri)
{
    if (uri.len == 0)
        uri = S("/");
    url->uri = xstrndup(uri.ptr, uri.len);
}

/* unix:/path[:/uri] */
static bool
parse_local(struct slice rest, struct auth_url *url)
{
    struct slice path = slice_cut(&rest, ':');

    if (path.len < 2 || path.ptr[0] != '/' ||
        (rest.len > 0 && rest.ptr[0] != '/'))
        return false;
    size_t size = sizeof("unix:") + path.len;
    url->host = xmalloc(size);
    memcpy(url->host, "unix:", 5);
    memcpy(url->host + 5, path.ptr, path.len);
    url->host[5 + path.len] = '\0';
    url->header = xstrndup("localhost", 9);
    set_uri(url, rest);
    return true;
}

/* Cuts "[v6]" or a name off `authority`; what is left is "" or ":port". */
static bool
cut_host(struct slice *authority, struct slice *host, struct slice *header)
{
    if (!slice_has_prefix(*authority, S("["))) {
        *host = *header = slice_take(*authority, slice_find(*authority, ':'));
        *authority = slice_drop(*authority, host->len);
        return is_host(*host);
    }
    size_t end = slice_find(*authority, ']');
    if (end == authority->len)
        return false;
    *header = slice_take(*authority, end + 1);
    *host = slice_drop(slice_take(*authority, end), 1);
    *authority = slice_drop(*authority, end + 1);
    return is_v6(*host);
}

static bool
parse_remote(struct slice rest, struct auth_url *url)
{
    struct slice authority = slice_take(rest, slice_find(rest, '/'));
    struct slice uri = slice_drop(rest, authority.len);
    struct slice host, header;

    if (!cut_host(&authority, &host, &header))
        return false;
    url->port = url->tls ? 443 : 80;
    if (authority.len > 0 &&
        (authority.ptr[0] != ':' ||
         (!addr_parse_port(slice_drop(authority, 1), &url->port) ||
          url->port == 0)))
        return false;
    url->host = xstrndup(host.ptr, host.len);
    url->header = xstrndup(header.ptr, header.len);
    set_uri(url, uri);
    return true;
}

bool
auth_url_parse(struct slice text, struct auth_url *url, struct error *err)
{
    struct slice rest = text;

    *url = (struct auth_url){0};
    if (text.len > URL_MAX || !is_graphic(text) ||
        slice_find(text, '#') < text.len)
        return error_set(err, "url: not a URL");
    url->tls = slice_has_prefix_nocase(text, S("https://"));
    if (url->tls)
        rest = slice_drop(text, 8);
    else if (slice_has_prefix_nocase(text, S("http://")))
        rest = slice_drop(text, 7);
    if (url->tls && slice_has_prefix(rest, S("unix:")))
        return error_set(err, "url: https needs the name of a host");
    bool ok = slice_has_prefix(rest, S("unix:"))
                  ? parse_local(slice_drop(rest, 5), url)
                  : parse_remote(rest, url);
    if (!ok)
        return error_set(err,
                         "url: \"%.*s\" is not http[s]://host[:port][/uri] "
                         "or http://unix:/path[:/uri]",
                         (int)text.len, text.ptr);
    url->text = xstrndup(text.ptr, text.len);
    return true;
}

void
auth_url_deinit(struct auth_url *url)
{
    free(url->text);
    free(url->host);
    free(url->header);
    free(url->uri);
    *url = (struct auth_url){0};
}
