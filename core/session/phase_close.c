/* phase_close.c -- the last words, the log line, the end. */
#include "session/access_log.h"
#include "session/login_state.h"
#include "session/session.h"
#include "session/sessions.h"
#include "session/side.h"

void
phase_close_begin(struct session *s)
{
    struct policy *policy = s->home->policy;
    struct login_state *login = s->login;

    policy->ops->cancel(policy, s);
    if (login != NULL) {
        if (login->shaking) /* words in clear would be no TLS */
            s->client.broken = true;
        dial_cancel(login->dial);
        dns_cancel(login->reverse);
        login->dial = NULL;
        login->reverse = NULL;
    }
    if (stream_is_open(&s->upstream.stream))
        side_close(&s->upstream, s->home->loop);
    visit_end(&s->visit);
    access_log_write(s);
    sessions_count_end(s);
    if (policy->ops->has(policy, s->listener, HOOK_CLOSED))
        policy->ops->ask(policy, s, HOOK_CLOSED);
}

static enum phase
finish(struct session *s)
{
    splice_end(s->home->pool, &s->up);
    splice_end(s->home->pool, &s->down);
    side_close(&s->client, s->home->loop);
    login_state_free(s);
    s->dead = true;
    return PHASE_CLOSE;
}

/* Closing with bytes unread makes the kernel reset the connection, and the
 * client may lose the last answer.  So it is told the end first, and what it
 * still sends is dropped until it closes too. */
enum phase
phase_close(struct session *s)
{
    struct login_state *login = s->login;

    if (login == NULL || s->deadline_passed || s->client.broken)
        return finish(s);
    bool said = session_flush_client(s);
    if (s->stopped || s->client.broken || (said && s->client.eof))
        return finish(s);
    if (!said)
        return PHASE_CLOSE;
    buf_discard(&login->from_client, buf_len(&login->from_client));
    if (!login->lingering)
        stream_shutdown_write(&s->client.stream);
    login->lingering = true;
    return PHASE_CLOSE;
}
