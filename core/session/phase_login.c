/* phase_login.c -- the gateway logs the user in at the upstream. */
#include "base/check.h"
#include "base/slice.h"
#include "session/identity.h"
#include "session/observer.h"

/* What the upstream half needs besides what the policies decided. */
void
phase_login_begin(struct session *s)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;

    dialog_restart_upstream(d);
    d->upstream_starttls = login->target.tls == TLS_STARTTLS;
    if (d->credentials.mechanism == MECHANISM_NONE)
        d->login.none = true;
    identity_prepare(s);
}

static enum phase
upstream_fault(struct session *s, enum fault fault)
{
    switch (fault) {
    case FAULT_GREETING:
        return session_upstream_failed(s, END_UPSTREAM_GREETING,
                                       s->login->dialog.reply.text);
    case FAULT_PREAUTH:
        return session_upstream_failed(s, END_UPSTREAM_PREAUTH,
                                       S("greeted with PREAUTH"));
    case FAULT_NO_STARTTLS:
        return session_upstream_failed(s, END_UPSTREAM_NO_STARTTLS,
                                       S("does not offer STARTTLS"));
    case FAULT_NO_LOGIN:
        return session_upstream_failed(s, END_UPSTREAM_NO_LOGIN,
                                       S("offers no way to log in"));
    case FAULT_BYE:
    case FAULT_QUIT:
        return session_upstream_failed(s, END_UPSTREAM_LOST,
                                       S("said goodbye during the login"));
    case FAULT_RESOURCES:
        return session_end(s, END_RESOURCES);
    case FAULT_NONE:
    case FAULT_ABUSE:
    case FAULT_GARBAGE:
        return session_upstream_failed(s, END_UPSTREAM_GARBAGE,
                                       S("answered with nonsense"));
    }
    unreachable();
}

/* Nothing whole has arrived; LOGIN to wait for more. */
static enum phase
wait_for_reply(struct session *s)
{
    if (s->upstream.broken || s->upstream.eof)
        return session_upstream_failed(s, END_UPSTREAM_LOST,
                                       S("closed during the login"));
    return PHASE_LOGIN;
}

/* STARTTLS was agreed on; the dialog goes on once TLS is up, which a quick
 * upstream makes it at the first try. */
static enum phase
go_on_secured(struct session *s, enum phase next)
{
    struct dialog *d = &s->login->dialog;

    if (next == PHASE_LOGIN && !s->login->upstream_shaking)
        (void)d->proto->on_upstream_secured(d);
    return next;
}

static enum phase
one_reply(struct session *s, bool *waiting)
{
    struct dialog *d = &s->login->dialog;
    struct buf *in = &s->login->from_upstream;
    struct slice reply;

    switch (d->proto->frame_reply(d, buf_bytes(in), &reply)) {
    case PARSE_MORE:
    case PARSE_PROMPT:
        *waiting = true;
        return wait_for_reply(s);
    case PARSE_BAD:
        return upstream_fault(s, FAULT_GARBAGE);
    case PARSE_DONE:
        break;
    }
    size_t len = reply.len;
    if (session_observer != NULL)
        session_observer->said(s, SPEAKER_UPSTREAM, reply);
    enum ask ask = d->proto->on_reply(d, reply);
    buf_consume(in, len);
    s->login->upstream_greeted |= ask != ASK_CLOSE;
    if (d->fault == FAULT_RESOURCES)
        return session_end(s, END_RESOURCES);
    switch (ask) {
    case ASK_INPUT:
        return PHASE_LOGIN;
    case ASK_SPLICE:
        session_upstream_answered(s);
        return PHASE_SPLICE;
    case ASK_REFUSE:
        session_upstream_answered(s);
        return session_ask(s, HOOK_UPSTREAM_REFUSED);
    case ASK_CLOSE:
        return upstream_fault(s, d->fault);
    case ASK_STARTTLS:
        return go_on_secured(s, session_secure_upstream(s));
    case ASK_AUTH:
    case ASK_VERIFIER:
    case ASK_WRONG:
    case ASK_DENIED:
    case ASK_HELO:
    case ASK_MAIL:
    case ASK_RCPT:
    case ASK_IDENTITY:
        break;
    }
    unreachable();
}

enum phase
phase_login(struct session *s)
{
    bool waiting = false;

    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    while (!waiting) {
        if (s->login->upstream_shaking)
            return go_on_secured(s, session_shake_upstream(s));
        enum phase next = one_reply(s, &waiting);
        if (next != PHASE_LOGIN)
            return next;
    }
    return PHASE_LOGIN;
}
