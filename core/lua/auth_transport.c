#include "lua/auth_transport.h"

#include "base/slice.h"
#include "lua/auth_field.h"

bool
auth_transport_put_proxy(struct buf *out, const struct session *s)
{
    const struct login_state *login = s->login;
    const struct addr *from = &login->proxy_source;
    const struct addr *to = &login->proxy_destination;
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX];

    if (from->len == 0)
        return true;
    return buf_printf(out,
                      "Proxy-Protocol-Addr: %s\r\n"
                      "Proxy-Protocol-Port: %u\r\n"
                      "Proxy-Protocol-Server-Addr: %s\r\n"
                      "Proxy-Protocol-Server-Port: %u\r\n",
                      addr_format_ip(from, source), (unsigned)addr_port(from),
                      addr_format_ip(to, destination), (unsigned)addr_port(to));
}

/* Names in a certificate are the client's own text. */
static bool
put_named(struct buf *out, struct slice name, struct slice value)
{
    return value.len == 0 || has_control(value) ||
           auth_field_put(out, name, value);
}

static bool
put_certificate(struct buf *out, struct session *s, bool whole)
{
    const struct tls_facts *tls = &s->login->tls;
    struct slice pem;

    if (!put_named(out, S("Auth-SSL-Verify"), tls->client_verify) ||
        !put_named(out, S("Auth-SSL-Subject"), tls->subject) ||
        !put_named(out, S("Auth-SSL-Issuer"), tls->issuer) ||
        !put_named(out, S("Auth-SSL-Serial"), tls->serial) ||
        !put_named(out, S("Auth-SSL-Fingerprint"), tls->fingerprint))
        return false;
    if (!whole)
        return true;
    if (!stream_tls_client_pem(&s->client.stream, &s->login->arena, &pem))
        return false;
    return pem.len == 0 || auth_field_put_escaped(out, S("Auth-SSL-Cert"), pem);
}

bool
auth_transport_put_tls(struct buf *out, struct session *s, bool whole)
{
    const struct tls_facts *tls = &s->login->tls;

    if (!s->login->dialog.secure)
        return true;
    if (!auth_field_put(out, S("Auth-SSL"), S("on")) ||
        !put_named(out, S("Auth-SSL-Protocol"), tls->version) ||
        !put_named(out, S("Auth-SSL-Cipher"), tls->cipher))
        return false;
    return !tls->client_asked || put_certificate(out, s, whole);
}
