#include "lua/auth_request.h"

#include "base/slice.h"
#include "lua/auth_exchange.h"
#include "lua/auth_field.h"
#include "lua/auth_transport.h"

/* What nginx sends as it came must not end the line. */
static bool
is_one_line(struct slice value)
{
    return slice_find(value, '\r') == value.len &&
           slice_find(value, '\n') == value.len &&
           slice_find(value, '\0') == value.len;
}

static struct slice
method_name(enum mechanism m)
{
    switch (m) {
    case MECHANISM_NONE:
        return S("none");
    case MECHANISM_PLAIN:
    case MECHANISM_LOGIN:
        return S("plain");
    case MECHANISM_CRAM_MD5:
        return S("cram-md5");
    case MECHANISM_APOP:
        return S("apop");
    case MECHANISM_EXTERNAL:
        return S("external");
    case MECHANISM_OAUTHBEARER:
        return S("oauthbearer");
    case MECHANISM_XOAUTH2:
        return S("xoauth2");
    case MECHANISM_SCRAM_SHA_1:
    case MECHANISM_SCRAM_SHA_1_PLUS:
        return S("scram-sha-1");
    case MECHANISM_SCRAM_SHA_256:
    case MECHANISM_SCRAM_SHA_256_PLUS:
        return S("scram-sha-256");
    case MECHANISM_COUNT:
        break;
    }
    unreachable();
}

static bool
is_digest(enum mechanism m)
{
    return m == MECHANISM_CRAM_MD5 || m == MECHANISM_APOP;
}

static bool
put_credentials(struct buf *out, const struct credentials *c, struct slice salt)
{
    struct slice secret = c->password.bytes;

    if (is_digest(c->mechanism))
        secret = c->response;
    if (!auth_field_put(out, S("Auth-Method"), method_name(c->mechanism)) ||
        !auth_field_put_escaped(out, S("Auth-User"), c->user) ||
        !auth_field_put_escaped(out, S("Auth-Pass"), secret))
        return false;
    return !is_digest(c->mechanism) ||
           auth_field_put(out, S("Auth-Salt"), salt);
}

/* A reverse name is somebody else's text: letters, digits, '-', '.', '_', or
 * one of nginx's two words for having none. */
static struct slice
checked_host(struct slice host)
{
    if (slice_equal(host, S("[TEMPUNAVAIL]")))
        return host;
    for (size_t i = 0; i < host.len; i++) {
        char c = ascii_lower(host.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '-' || c == '_'))
            return S("[UNAVAILABLE]");
    }
    return host.len > 0 && host.len <= 255 ? host : S("[UNAVAILABLE]");
}

static bool
put_client(struct buf *out, const struct session *s)
{
    char ip[ADDR_TEXT_MAX];
    const char *protocol = s->listener->proto->name;

    if (!auth_field_put(out, S("Auth-Protocol"), slice_of(protocol)) ||
        !auth_field_put_number(out, S("Auth-Login-Attempt"), s->attempts) ||
        !auth_field_put(out, S("Client-IP"),
                        slice_of(addr_format_ip(&s->client_addr, ip))))
        return false;
    return strcmp(protocol, "smtp") != 0 ||
           auth_field_put(out, S("Client-Host"),
                          checked_host(s->login->client_host));
}

static bool
put_envelope(struct buf *out, const struct envelope *e)
{
    return auth_field_put(out, S("Auth-SMTP-Helo"), e->helo) &&
           auth_field_put(out, S("Auth-SMTP-From"), e->mail) &&
           auth_field_put(out, S("Auth-SMTP-To"), e->rcpt);
}

/* What nginx does not tell. */
static bool
put_ports(struct buf *out, struct session *s)
{
    const struct addr *server = session_server_addr(s);
    char ip[ADDR_TEXT_MAX];

    return auth_field_put_number(out, S("Client-Port"),
                                 addr_port(&s->client_addr)) &&
           auth_field_put(out, S("Server-IP"),
                          slice_of(addr_format_ip(server, ip))) &&
           auth_field_put_number(out, S("Server-Port"), addr_port(server));
}

bool
auth_request_fields(struct buf *out, struct session *s,
                    const struct credentials *credentials,
                    const struct auth_group *g, const char **problem)
{
    const struct dialog *d = &s->login->dialog;
    const struct envelope *e = &d->envelope;
    static const struct credentials nobody = {.mechanism = MECHANISM_NONE};
    bool recipient = credentials == NULL;

    if (recipient)
        credentials = &nobody;
    *problem = "a field holds a line break or NUL";
    if (!is_one_line(d->salt) ||
        (recipient && (!is_one_line(e->helo) || !is_one_line(e->mail) ||
                       !is_one_line(e->rcpt))))
        return false;
    *problem = "the request is too long";
    return put_credentials(out, credentials, d->salt) && put_client(out, s) &&
           auth_transport_put_proxy(out, s) &&
           (!recipient || put_envelope(out, e)) &&
           auth_transport_put_tls(out, s, g->pass_client_cert) &&
           put_ports(out, s) && buf_append(out, buf_bytes(&g->extra)) &&
           buf_append(out, S("\r\n"));
}

bool
auth_request_begin(struct buf *out, const struct auth_url *url, bool keep)
{
    return buf_append(out, S("GET ")) && buf_append(out, slice_of(url->uri)) &&
           buf_append(out, keep ? S(" HTTP/1.1\r\n") : S(" HTTP/1.0\r\n")) &&
           auth_field_put(out, S("Host"), slice_of(url->header)) &&
           (!keep || auth_field_put(out, S("Connection"), S("keep-alive")));
}
