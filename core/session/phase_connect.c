/* phase_connect.c -- a connection to the upstream of this login. */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/sessions.h"
#include "session/side.h"

#include <stdio.h>

/* Facts of the dial; the step acts on them. */
static void
on_dialled(void *arg, enum dial_status status, struct stream *stream,
           const struct addr *addr, const char *text)
{
    struct session *s = arg;
    struct login_state *login = s->login;

    login->dial = NULL;
    login->dial_done = true;
    login->dial_status = status;
    if (status == DIAL_OK) {
        char name[ADDR_TEXT_MAX];
        session_upstream_open(s, stream);
        record_set(&s->record.upstream, slice_of(addr_format(addr, name)));
    } else {
        login->failure = dialog_keep(&login->dialog, slice_of(text));
    }
    session_run(s);
}

void
session_close_upstream(struct session *s)
{
    struct login_state *login = s->login;

    dial_cancel(login->dial);
    login->dial = NULL;
    if (stream_is_open(&s->upstream.stream))
        side_close(&s->upstream, s->home->loop);
    s->upstream = (struct side){.stream.fd = -1};
    buf_discard(&login->from_upstream, buf_len(&login->from_upstream));
    buf_discard(&login->to_upstream, buf_len(&login->to_upstream));
    login->shown_upstream = 0;
}

void
session_aim(struct target *to, const struct target *given,
            const struct target *like)
{
    struct target aimed = *given;

    if (given->bare) {
        aimed.bare = false;
        aimed.tls = like->tls;
        aimed.tls_profile = like->tls_profile;
        aimed.verify = like->verify;
        aimed.server_name = like->server_name;
        memcpy(aimed.pins, like->pins, sizeof aimed.pins);
        aimed.pin_count = like->pin_count;
        aimed.distrusted = like->distrusted;
    }
    *to = aimed;
}

/* What is tried, for the log; its address once that is known. */
static void
record_target(struct session *s, const char *host)
{
    char name[280];
    unsigned port = s->login->target.port;

    if (slice_has_prefix(slice_of(host), S("unix:")))
        (void)snprintf(name, sizeof name, "%s", host);
    else if (strchr(host, ':') != NULL)
        (void)snprintf(name, sizeof name, "[%s]:%u", host, port);
    else
        (void)snprintf(name, sizeof name, "%s:%u", host, port);
    record_set(&s->record.upstream, slice_of(name));
}

enum phase
session_connect(struct session *s)
{
    struct login_state *login = s->login;
    struct target *target = &login->target;
    struct addr source;
    char host[256];

    session_close_upstream(s);
    login->dial_done = login->prepared = login->upstream_shaking = false;
    login->upstream_attempt++;
    if (target->port == 0)
        target->port = target->tls == TLS_IMPLICIT
                           ? s->listener->proto->port_tls
                           : s->listener->proto->port;
    if (target->connect_timeout <= 0)
        target->connect_timeout = s->listener->limits.connect_timeout;
    require(target->host.len < sizeof host);
    (void)snprintf(host, sizeof host, "%.*s", (int)target->host.len,
                   target->host.ptr);
    record_target(s, host);
    if (s->home->rehearsing)
        return PHASE_CONNECT;
    bool bound =
        target->source.len > 0 && addr_parse_ip(target->source, 0, &source);

    struct dial_request request = {
        .host = host,
        .port = slice_has_prefix(target->host, S("unix:")) ? 0 : target->port,
        .source = bound ? &source : NULL,
        .timeout = target->connect_timeout,
    };
    login->dial =
        dial_start(s->home->loop, s->home->dns, &request, on_dialled, s);
    return PHASE_CONNECT;
}

enum phase
session_upstream_failed(struct session *s, enum end why, struct slice text)
{
    struct login_state *login = s->login;
    char escaped[512];

    if (text.len > 0) /* it may be the stream's own */
        login->failure = dialog_keep(&login->dialog, text);
    session_close_upstream(s);
    login->failed = why;
    log_warn("session %s: upstream %.*s: %s: %s", s->id,
             (int)login->target.host.len, login->target.host.ptr, end_name(why),
             log_escape(login->failure, escaped, sizeof escaped));
    if (login->dialog.fault == FAULT_RESOURCES)
        return session_end(s, END_RESOURCES);
    login->dialog.fault = FAULT_NONE;
    return session_ask(s, HOOK_CONNECT_FAILED);
}

/* The upstream is where the client connected to, with the same user. */
static bool
leads_back(struct session *s)
{
    const struct dialog *d = &s->login->dialog;
    char here[ADDR_TEXT_MAX];

    addr_format(session_server_addr(s), here);
    return slice_equal(slice_of(here), slice_of(s->record.upstream)) &&
           slice_equal(d->login.user, d->credentials.user);
}

/* The connection is up: the PROXY header, then TLS if it is to be there from
 * the first byte. */
static enum phase
prepare(struct session *s)
{
    struct login_state *login = s->login;

    if (!login->prepared) {
        login->prepared = true;
        if (login->target.proxy_protocol > 0 && !identity_write_proxy_header(s))
            return session_end(s, END_RESOURCES);
        if (leads_back(s))
            return session_end_loop(s, S("the upstream is this listener"));
    }
    if (login->target.tls != TLS_IMPLICIT)
        return session_ask(s, HOOK_UPSTREAM_AUTH);
    if (!session_flush_upstream(s))
        return PHASE_CONNECT;
    enum phase next = stream_is_plain(&s->upstream.stream)
                          ? session_secure_upstream(s)
                          : session_shake_upstream(s);
    if (next != PHASE_CONNECT || login->upstream_shaking || !login->dial_done)
        return next;
    return session_ask(s, HOOK_UPSTREAM_AUTH);
}

enum phase
phase_connect(struct session *s)
{
    struct login_state *login = s->login;

    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    if (!login->dial_done)
        return PHASE_CONNECT;
    if (login->dial_status == DIAL_OK)
        return prepare(s);
    return session_upstream_failed(s,
                                   login->dial_status == DIAL_TIMEOUT
                                       ? END_UPSTREAM_TIMEOUT
                                       : END_UPSTREAM_UNREACHABLE,
                                   (struct slice){0});
}
