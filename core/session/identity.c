#include "session/identity.h"

#include "base/decimal.h"
#include "base/slice.h"
#include "session/record.h"

static struct slice
keep(struct session *s, struct slice text)
{
    struct slice copy = S("");

    if (text.len > 0 && !arena_copy(&s->login->arena, text, &copy))
        s->login->dialog.fault = FAULT_RESOURCES;
    return copy;
}

/* The connection that the client came by is somebody else's. */
static void
set_client(struct session *s, const struct addr *client)
{
    struct login_state *login = s->login;
    char text[ADDR_TEXT_MAX];

    if (login->proxy_addr.len == 0)
        login->proxy_addr = s->client_addr;
    if (s->record.via[0] == '\0')
        record_set(&s->record.via,
                   slice_of(addr_format(&login->proxy_addr, text)));
    s->client_addr = *client;
}

void
identity_take_proxy(struct session *s, const struct proxy_header *header)
{
    struct login_state *login = s->login;
    struct proxy_header *kept = &login->proxy_header;

    *kept = *header;
    kept->alpn = keep(s, header->alpn);
    kept->authority = keep(s, header->authority);
    kept->unique_id = keep(s, header->unique_id);
    kept->tls_version = keep(s, header->tls_version);
    kept->tls_cipher = keep(s, header->tls_cipher);
    kept->common_name = keep(s, header->common_name);
    set_client(s, &header->source);
    if (identity_is_id(header->unique_id))
        record_set(&s->record.origin, header->unique_id);
}

void
identity_judge_peer(struct session *s)
{
    const struct listener_config *l = s->listener;
    struct login_state *login = s->login;

    login->peer_addr = s->client_addr;
    login->dialog.peer_trusted =
        networks_contain(l->trusted, l->trusted_count, &s->client_addr);
}

/* Reads an address and its port, which may be missing. */
static bool
parse_address(struct slice ip, struct slice port, struct addr *a)
{
    *a = (struct addr){0};
    return ip.len == 0 || addr_parse_ip(ip, (uint16_t)slice_to_size(port), a);
}

enum phase
identity_take_over(struct session *s)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;
    const struct slice *told = d->told.facts;
    struct addr client, server;

    if (!parse_address(told[IDENTITY_IP], told[IDENTITY_PORT], &client) ||
        !parse_address(told[IDENTITY_SERVER_IP], told[IDENTITY_SERVER_PORT],
                       &server)) {
        d->refusal = (struct refusal){.reason = REASON_SERVER_BUG,
                                      .stage = STAGE_CONNECT,
                                      .text = S("That is no address")};
        d->proto->say(d, SAY_BYE);
        return session_end(s, END_IDENTITY);
    }
    if (client.len > 0) {
        s->client_addr = login->peer_addr;
        set_client(s, &client);
    }
    if (server.len > 0)
        login->proxy_destination = server;
    if (told[IDENTITY_TTL].len > 0) {
        size_t ttl = slice_to_size(told[IDENTITY_TTL]);
        login->ttl =
            ttl < IDENTITY_TTL_START ? (unsigned)ttl : IDENTITY_TTL_START;
    }
    if (told[IDENTITY_SESSION].len > 0)
        record_set(&s->record.origin, told[IDENTITY_SESSION]);
    login->resolved = told[IDENTITY_NAME].len > 0;
    if (login->resolved)
        login->client_host = told[IDENTITY_NAME];
    login->introducing = true;
    return PHASE_HANDSHAKE;
}

void
identity_forget(struct session *s)
{
    struct login_state *login = s->login;

    if (login->peer_addr.len > 0)
        s->client_addr = login->peer_addr;
    login->client_host = login->peer_host;
    login->ttl = IDENTITY_TTL_START;
    login->proxy_destination = login->proxy_header.destination;
    record_set(&s->record.origin, identity_is_id(login->proxy_header.unique_id)
                                      ? login->proxy_header.unique_id
                                      : S(""));
}

bool
identity_is_looping(const struct session *s)
{
    return s->login->ttl <= 1;
}

static const struct addr *
connected_to(struct session *s)
{
    struct login_state *login = s->login;

    return login->proxy_destination.len > 0 ? &login->proxy_destination
                                            : session_server_addr(s);
}

static struct slice
number(struct session *s, unsigned value)
{
    char text[DECIMAL_MAX];
    size_t len = decimal_put(text, value);

    return dialog_keep(&s->login->dialog, (struct slice){text, len});
}

static void
put_address(struct session *s, const struct addr *a, enum identity_fact ip,
            enum identity_fact port)
{
    struct dialog *d = &s->login->dialog;
    char text[ADDR_TEXT_MAX];

    if (a->len == 0 || addr_is_local(a))
        return;
    d->identity.facts[ip] = dialog_keep(d, slice_of(addr_format_ip(a, text)));
    if (addr_port(a) > 0)
        d->identity.facts[port] = number(s, addr_port(a));
}

/* The first that is not empty. */
static struct slice
first_of(struct slice a, struct slice b, struct slice c)
{
    if (a.len > 0)
        return a;
    return b.len > 0 ? b : c;
}

void
identity_prepare(struct session *s)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;
    const struct slice *told = d->told.facts;
    struct slice *facts = d->identity.facts;
    bool secure = d->secure || login->proxy_header.tls;

    d->identity = (struct client_identity){0};
    d->forward = login->target.distrusted ? FORWARD_OFF : d->login.forward;
    if (d->forward == FORWARD_OFF)
        return;
    put_address(s, &s->client_addr, IDENTITY_IP, IDENTITY_PORT);
    put_address(s, connected_to(s), IDENTITY_SERVER_IP, IDENTITY_SERVER_PORT);
    facts[IDENTITY_NAME] = login->client_host;
    facts[IDENTITY_SESSION] = dialog_keep(
        d, slice_of(s->record.origin[0] != '\0' ? s->record.origin : s->id));
    facts[IDENTITY_TTL] = number(s, login->ttl - 1);
    facts[IDENTITY_TRANSPORT] = first_of(
        told[IDENTITY_TRANSPORT], secure ? S("TLS") : S("insecure"), S(""));
    facts[IDENTITY_SERVER_NAME] =
        first_of(told[IDENTITY_SERVER_NAME], login->tls.sni,
                 login->proxy_header.authority);
}

/* The common name in "CN=ann,O=Example" (RFC 2253).  One with escapes is not
 * told: it would be read in more than one way. */
static struct slice
common_name_of(struct slice subject)
{
    size_t start = 0;

    for (size_t i = 0; i <= subject.len; i++) {
        if (i < subject.len && subject.ptr[i] == '\\') {
            i++;
            continue;
        }
        if (i < subject.len && subject.ptr[i] != ',' && subject.ptr[i] != '+')
            continue;
        struct slice part = slice_drop(
            slice_take(subject, i < subject.len ? i : subject.len), start);
        if (slice_has_prefix(part, S("CN=")))
            return slice_find(part, '\\') == part.len ? slice_drop(part, 3)
                                                      : S("");
        start = i + 1;
    }
    return S("");
}

bool
identity_write_proxy_header(struct session *s)
{
    struct login_state *login = s->login;
    const struct tls_facts *tls = &login->tls;
    struct proxy_header header = {
        .source = s->client_addr,
        .destination = *connected_to(s),
        .unique_id =
            slice_of(s->record.origin[0] != '\0' ? s->record.origin : s->id),
    };

    if (login->dialog.secure) {
        header.tls = true;
        header.authority = tls->sni;
        header.alpn = tls->alpn;
        header.certificate = tls->client_asked && tls->subject.len > 0;
        header.verified = login->dialog.certified;
        header.tls_version = tls->version;
        header.tls_cipher = tls->cipher;
        header.common_name = common_name_of(tls->subject);
    } else if (login->proxy_header.tls) {
        struct addr source = header.source, destination = header.destination;
        struct slice id = header.unique_id;
        header = login->proxy_header;
        header.source = source;
        header.destination = destination;
        header.unique_id = id;
    }
    return proxy_header_write(&header, login->target.proxy_protocol,
                              &login->to_upstream);
}
