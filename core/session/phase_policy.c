/* phase_policy.c -- a Lua hook is thinking; the client waits. */
#include "base/log.h"
#include "base/slice.h"
#include "session/login_state.h"
#include "session/record.h"
#include "session/session.h"
#include "session/sessions.h"

/* What a refused attempt leaves behind must not reach the next. */
static void
forget_attempt(struct session *s)
{
    struct login_state *login = s->login;

    session_close_upstream(s);
    session_let_go(s);
    dialog_forget(&login->dialog);
    login->verdict = (struct verdict){.kind = VERDICT_NONE};
    login->target = login->fallback = (struct target){0};
    login->failure = (struct slice){0};
    login->refusal_told = false;
    /* APOP's salt is in the greeting and stays; CRAM-MD5's is used once. */
    if (!dialog_offers(&login->dialog, MECHANISM_APOP) &&
        dialog_offers(&login->dialog, MECHANISM_CRAM_MD5))
        login_state_salt(s);
}

static void
log_refusal(struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    char text[512];

    if (v->log.len == 0)
        return;
    record_set(&s->record.log, v->log);
    log_write(v->kind == VERDICT_TEMPFAIL ? LOG_WARN : LOG_INFO,
              "session %s: %s: %s", s->id, hook_name(s->login->hook),
              log_escape(v->log, text, sizeof text));
}

/* What nginx calls an internal server error, and ends the session with. */
static bool
is_fault(const struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    const struct refusal *r = &v->refusal;

    return s->listener->settings.as_nginx && r->text.len == 0 &&
           r->verbatim.len == 0 &&
           (v->kind == VERDICT_TEMPFAIL ||
            s->login->hook == HOOK_UPSTREAM_REFUSED);
}

/* Whether the session ends with this refusal. */
static bool
is_final(const struct session *s)
{
    bool of_upstream = s->login->hook == HOOK_UPSTREAM_REFUSED;

    return s->login->verdict.close || s->listener->refusal_closes ||
           is_fault(s) || (of_upstream && s->listener->settings.as_nginx);
}

/* A client that came with a token first hears why, as SASL has it: where the
 * token was looked at and is the reason. */
static bool
is_denial(const struct session *s, enum stage stage)
{
    const struct verdict *v = &s->login->verdict;
    enum reason reason = v->refusal.reason;

    if (v->kind != VERDICT_REJECT || stage != STAGE_LOGIN ||
        s->login->hook == HOOK_CONNECT_FAILED ||
        !mechanism_has_token(s->login->dialog.credentials.mechanism))
        return false;
    return v->refusal.sasl.len > 0 || reason == REASON_BAD_CREDENTIALS ||
           reason == REASON_NOT_ALLOWED || reason == REASON_EXPIRED;
}

enum phase
session_end_refusal(struct session *s)
{
    struct dialog *d = &s->login->dialog;
    const struct limits *limits = &s->listener->limits;
    enum stage stage = d->refusal.stage;

    d->proto->say(d, is_fault(s) ? SAY_FAULT : SAY_REFUSAL);
    if (is_final(s))
        return session_end(s, s->login->hook == HOOK_UPSTREAM_REFUSED
                                  ? END_UPSTREAM_REFUSED
                                  : END_REFUSED);
    bool is_attempt = stage == STAGE_LOGIN || stage == STAGE_RCPT;
    if (is_attempt && s->attempts >= limits->attempts)
        return session_say_bye(s, REASON_TOO_MANY, END_TOO_MANY_ATTEMPTS);
    forget_attempt(s);
    return PHASE_COMMAND;
}

/* Policies hear of it before the client does, and once: who leaves while the
 * answer is held back has been refused all the same. */
static void
tell_refused(struct session *s, enum stage stage)
{
    struct policy *policy = s->home->policy;

    if (stage != STAGE_LOGIN || s->login->refusal_told ||
        !policy->ops->has(policy, s->listener, HOOK_REFUSED))
        return;
    s->login->refusal_told = true;
    policy->ops->ask(policy, s, HOOK_REFUSED);
}

enum phase
session_refuse(struct session *s, enum stage stage)
{
    const struct verdict *v = &s->login->verdict;
    struct dialog *d = &s->login->dialog;

    tell_refused(s, stage);
    log_refusal(s);
    if (stage == STAGE_LOGIN)
        sessions_count_login(s, v->kind == VERDICT_REJECT ? LOGIN_REFUSED
                                                          : LOGIN_FAILED);
    record_set(&s->record.policy, v->policy);
    d->refusal = v->refusal;
    d->refusal.stage = stage;
    if (!is_denial(s, stage))
        return session_end_refusal(s);
    /* Neither an upstream nor a generation waits for the client's answer. */
    session_close_upstream(s);
    session_let_go(s);
    d->proto->say(d, SAY_DENIAL);
    return PHASE_COMMAND;
}

/* Whether it is a login that the verdict refuses. */
static bool
refuses_login(const struct session *s)
{
    const struct login_state *login = s->login;

    return login->hook >= HOOK_AUTH && login->dialog.envelope.rcpt.len == 0 &&
           (login->verdict.kind == VERDICT_REJECT ||
            login->verdict.kind == VERDICT_TEMPFAIL);
}

/* The pause before a refusal, or of a WAIT. */
static bool
is_pausing(struct session *s)
{
    struct login_state *login = s->login;

    if (login->verdict.delay <= 0 || login->delay_over)
        return false;
    if (!login->delaying) {
        login->delaying = true;
        session_arm(s);
        if (refuses_login(s))
            tell_refused(s, STAGE_LOGIN);
        return true;
    }
    if (!s->deadline_passed)
        return true;
    login->delaying = false;
    login->delay_over = true;
    return false;
}

enum phase
phase_policy(struct session *s)
{
    for (;;) {
        if (s->login->verdict.kind == VERDICT_PENDING || is_pausing(s))
            return PHASE_POLICY;
        enum phase next = session_answer(s);
        if (next != PHASE_POLICY)
            return next;
    }
}
