/* phase_splice.c -- logged in: bytes both ways, and nothing else. */
#include "base/check.h"
#include "base/slice.h"
#include "session/login_state.h"
#include "session/observer.h"
#include "session/session.h"
#include "session/sessions.h"
#include "session/side.h"

/* What is left of the login goes ahead of what is spliced: the answer to the
 * client, what the upstream sent behind it, and commands sent early. */
void
phase_splice_begin(struct session *s)
{
    struct login_state *login = s->login;
    struct policy *policy = s->home->policy;

    sessions_count_login(s, LOGIN_ACCEPTED);
    if (policy->ops->has(policy, s->listener, HOOK_SPLICED))
        policy->ops->ask(policy, s, HOOK_SPLICED);
    session_show_output(s);
    if (buf_is_empty(&login->from_upstream))
        (void)side_flush(&s->client, &login->to_client);
    splice_push(s->home->pool, &s->down, buf_bytes(&login->to_client));
    splice_push(s->home->pool, &s->down, buf_bytes(&login->from_upstream));
    splice_push(s->home->pool, &s->up, buf_bytes(&login->to_upstream));
    splice_push(s->home->pool, &s->up, buf_bytes(&login->from_client));
    s->up.eof = s->client.eof;
    s->down.eof = s->upstream.eof;
    if (s->up.eof)
        (void)session_end(s, END_CLIENT_CLOSED);
    s->client.writable = s->upstream.writable = true;
    s->client.readable = stream_has_more(&s->client.stream);
    s->upstream.readable = stream_has_more(&s->upstream.stream);
    s->last_byte = ev_now(s->home->loop);
    login_state_free(s);
}

/* Whether a turn could move something, or pass on an end. */
static bool
is_due(const struct channel *c, const struct side *from, const struct side *to)
{
    if (c->shut)
        return false;
    return c->held != NULL ? to->writable : from->readable || c->eof;
}

/* Nagle's algorithm holds what is written behind something unacknowledged;
 * where each side waits for the other's answer nothing ever is. */
static void
note_turn(struct session *s, const struct channel *c)
{
    s->last_byte = ev_now(s->home->loop);
    s->upstream.unanswered = c == &s->up;
}

/* One turn of one direction; false when the session is over. */
static bool
relay(struct session *s, struct channel *c, struct side *from, struct side *to)
{
    size_t moved = 0;
    bool was_eof = c->eof;

    if (!is_due(c, from, to))
        return true;
    c->last = c == &s->up ? s->down.shut : s->up.shut;
    if (c == &s->up && s->upstream.unanswered)
        side_tune(&s->upstream);
    enum splice_state state =
        splice_turn(s->home->pool, c, &from->stream, &to->stream, &moved);
    from->readable = false;
    if (moved > 0)
        note_turn(s, c);
    if (c->eof && !was_eof) /* who closed first is why the session ends */
        (void)session_end(s, c == &s->up ? END_CLIENT_CLOSED
                                         : END_UPSTREAM_CLOSED);
    switch (state) {
    case SPLICE_MORE:
        from->readable = true;
        sessions_again(s);
        return true;
    case SPLICE_IDLE:
    case SPLICE_BLOCKED:
    case SPLICE_ENDED:
        return true;
    case SPLICE_SOURCE_FAILED:
        from->broken = true;
        return false;
    case SPLICE_DESTINATION_FAILED:
        to->broken = true;
        return false;
    }
    unreachable();
}

static enum phase
lost(struct session *s)
{
    return session_end(s,
                       s->client.broken ? END_CLIENT_GONE : END_UPSTREAM_LOST);
}

/* An upstream that has closed is not waited for: its client gets what was
 * sent, and a short while to close as well. */
static double
patience(const struct session *s)
{
    const struct limits *limits = &s->listener->limits;

    return s->down.eof ? limits->close_timeout : limits->idle_timeout;
}

/* The idle timer is not re-armed for each byte: when it fires it looks. */
static enum phase
idle(struct session *s)
{
    double left = s->last_byte + patience(s) - ev_now(s->home->loop);

    if (left <= 0)
        return session_end(s, END_IDLE);
    if (!s->down.eof)
        side_tune(&s->upstream); /* it is to last */
    session_arm_for(s, left);
    return PHASE_SPLICE;
}

enum phase
phase_splice(struct session *s)
{
    bool upstream_was_open = !s->down.eof;

    if (s->client.broken || s->upstream.broken)
        return lost(s);
    if (!relay(s, &s->down, &s->upstream, &s->client))
        return lost(s);
    if (!relay(s, &s->up, &s->client, &s->upstream)) {
        /* An upstream that reset may have said why before. */
        s->upstream.readable = true;
        (void)relay(s, &s->down, &s->upstream, &s->client);
        return lost(s);
    }
    s->client.writable = s->upstream.writable = false;
    if (s->up.shut && s->down.shut)
        return session_end(s, END_CLIENT_CLOSED);
    if (s->deadline_passed || (upstream_was_open && s->down.eof))
        return idle(s);
    return PHASE_SPLICE;
}
