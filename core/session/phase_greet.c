/* phase_greet.c -- the greeting, and who spoke before it. */
#include "base/slice.h"
#include "session/login_state.h"
#include "session/session.h"
#include "session/sessions.h"

#define CHALLENGED \
    (MECHANISM_BIT(MECHANISM_APOP) | MECHANISM_BIT(MECHANISM_CRAM_MD5))

void
session_offer(struct session *s)
{
    struct policy *policy = s->home->policy;
    struct dialog *d = &s->login->dialog;

    d->mechanisms =
        policy->ops->mechanisms(policy, s, s->listener->settings.mechanisms);
    if (d->salt.ptr == NULL && (d->mechanisms & CHALLENGED) != 0)
        login_state_salt(s);
}

/* The delay before an SMTP greeting, in which a client may not speak.  Returns
 * GREET to wait on, COMMAND when it is over. */
static enum phase
hold_back(struct session *s)
{
    struct dialog *d = &s->login->dialog;

    if (!buf_is_empty(&s->login->from_client)) {
        d->refusal =
            (struct refusal){.reason = REASON_EARLY, .stage = STAGE_CONNECT};
        s->listener->proto->say(d, SAY_REFUSAL);
        return session_end(s, END_EARLY_TALKER);
    }
    if (s->client.eof)
        return session_end(s, END_CLIENT_CLOSED);
    return s->deadline_passed ? PHASE_COMMAND : PHASE_GREET;
}

enum phase
phase_greet(struct session *s)
{
    struct login_state *login = s->login;

    if (s->listener->greeting_delay > 0 && !login->greeted) {
        enum phase next = hold_back(s);
        if (next != PHASE_COMMAND)
            return next;
    }
    if (!login->greeted) {
        session_offer(s);
        s->listener->proto->say(&login->dialog, SAY_GREETING);
        login->greeted = true;
        session_arm(s);
    }
    return session_flush_client(s) ? PHASE_COMMAND : PHASE_GREET;
}
