/* phase_handshake.c -- before the greeting: who is it, and may it speak? */
#include "base/slice.h"
#include "net/proxy_receive.h"
#include "session/identity.h"
#include "session/sessions.h"

static void
on_reverse(void *arg, enum dns_status status, const struct slice *names,
           size_t count)
{
    struct session *s = arg;
    struct login_state *login = s->login;

    login->reverse = NULL;
    login->resolved = true;
    /* Lives as long as the session: not part of any login attempt. */
    if (status != DNS_OK || count == 0 ||
        !arena_copy(&login->arena, names[0], &login->client_host))
        login->client_host =
            status == DNS_NOT_FOUND ? S("[UNAVAILABLE]") : S("[TEMPUNAVAIL]");
    session_run(s);
}

/* True once the client's name is known or nobody wants it. */
static bool
resolve(struct session *s)
{
    struct login_state *login = s->login;

    if (login->resolved || login->reverse != NULL)
        return login->resolved;
    if (!s->listener->resolve_client || addr_is_local(&s->client_addr)) {
        login->client_host = s->listener->resolve_client ? S("[TEMPUNAVAIL]")
                                                         : S("[UNAVAILABLE]");
        return login->resolved = true;
    }
    login->reverse = dns_reverse(s->home->dns, &s->client_addr,
                                 s->listener->resolve_timeout, on_reverse, s);
    session_arm(s);
    return false;
}

/* Takes over who the client is from a proxy in front.  What it has to say is
 * only believed if it may say it. */
static enum phase
take_proxy_header(struct session *s, const struct proxy_header *header)
{
    const struct proxy_settings *settings = &s->listener->proxy;
    struct login_state *login = s->login;
    bool trusted = networks_contain(settings->trusted, settings->trusted_count,
                                    &s->client_addr);

    login->proxied = true;
    if (!trusted && !settings->lenient)
        return session_end(s, END_PROXY_HEADER);
    login->proxy_addr = s->client_addr;
    if (header->local)
        return PHASE_HANDSHAKE;
    login->proxy_source = header->source;
    login->proxy_destination = header->destination;
    if (trusted)
        identity_take_proxy(s, header);
    return PHASE_HANDSHAKE;
}

static enum phase
receive_proxy_header(struct session *s)
{
    struct proxy_header header;

    switch (
        proxy_receive(s->client.stream.fd, &s->login->from_client, &header)) {
    case IO_AGAIN:
        return PHASE_HANDSHAKE;
    case IO_EOF:
        return session_end(s, END_CLIENT_CLOSED);
    case IO_ERROR:
        return session_end(s, END_PROXY_HEADER);
    case IO_DONE:
        break;
    }
    enum phase next = take_proxy_header(s, &header);
    buf_discard(&s->login->from_client, buf_len(&s->login->from_client));
    return next;
}

static bool
wants_tls(const struct session *s)
{
    return !s->login->dialog.secure &&
           (s->login->starttls || s->listener->tls == TLS_IMPLICIT);
}

/* Whoever the client is, by now or again: may it go on? */
static enum phase
ask_about_client(struct session *s)
{
    if (!resolve(s))
        return s->client.eof ? session_end(s, END_CLIENT_CLOSED)
                             : PHASE_HANDSHAKE;
    if (!s->login->introducing)
        s->login->peer_host = s->login->client_host;
    return session_ask(s, HOOK_CONNECT);
}

enum phase
phase_handshake(struct session *s)
{
    if (s->login->introducing)
        return ask_about_client(s);
    if (s->home->draining)
        return session_say_bye(s, REASON_SHUTDOWN, END_SHUTDOWN);
    if (s->home->count_max > 0 && s->home->count > s->home->count_max)
        return session_say_bye(s, REASON_LIMIT, END_OVERLOAD);
    if (s->listener->proxy.expected && !s->login->proxied) {
        enum phase next = receive_proxy_header(s);
        if (next != PHASE_HANDSHAKE || !s->login->proxied)
            return next;
    }
    if (wants_tls(s)) {
        enum phase next = session_secure_client(s);
        if (next != PHASE_COMMAND)
            return next;
    }
    if (s->login->greeted)
        return session_ask(s, HOOK_SECURED);
    identity_judge_peer(s);
    return ask_about_client(s);
}
