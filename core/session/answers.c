/* answers.c -- where the verdict of each hook leads. */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "proto/redact.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/sessions.h"

#define WAITS_MAX 5

static bool
is_refusal(const struct verdict *v)
{
    return v->kind == VERDICT_REJECT || v->kind == VERDICT_TEMPFAIL;
}

/* A failure that no policy has put into words. */
static enum phase
fail(struct session *s, enum stage stage, struct slice why)
{
    s->login->verdict = (struct verdict){
        .kind = VERDICT_TEMPFAIL,
        .refusal.reason = REASON_UNAVAILABLE,
        .log = why,
    };
    return session_refuse(s, stage);
}

static enum stage attempt_stage(const struct session *s);

enum phase
session_end_loop(struct session *s, struct slice why)
{
    s->login->verdict = (struct verdict){
        .kind = VERDICT_TEMPFAIL,
        .refusal.reason = REASON_SERVER_BUG,
        .policy = slice_of(s->record.policy),
        .log = why,
    };
    log_warn("session %s: gateways send logins to each other: %.*s", s->id,
             (int)why.len, why.ptr);
    (void)session_refuse(s, attempt_stage(s));
    s->end = END_LOOP;
    return PHASE_CLOSE;
}

static enum stage
attempt_stage(const struct session *s)
{
    return s->login->dialog.envelope.rcpt.len > 0 ? STAGE_RCPT : STAGE_LOGIN;
}

/* `connect`, `secured`: the whole connection is let in or not. */
static enum phase
answer_connect(struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    enum verdict_kind kind = v->kind; /* session_refuse forgets it */

    if (!is_refusal(v)) {
        if (s->login->introducing)
            s->listener->proto->say(&s->login->dialog, SAY_PROCEED);
        s->login->introducing = false;
        if (!s->login->greeted)
            return PHASE_GREET;
        session_offer(s); /* within TLS that may be more */
        return PHASE_COMMAND;
    }
    (void)session_refuse(s, STAGE_CONNECT);
    return session_end(s, kind == VERDICT_REJECT ? END_REFUSED
                                                 : END_POLICY_FAILED);
}

/* `helo`, `mail`: one command is answered. */
static enum phase
answer_command(struct session *s)
{
    if (is_refusal(&s->login->verdict))
        return session_refuse(s, STAGE_COMMAND);
    s->listener->proto->say(&s->login->dialog, SAY_PROCEED);
    return PHASE_COMMAND;
}

/* The upstream that is tried from now on. */
static void
aim(struct session *s, const struct target *given, const struct target *like)
{
    session_aim(s, &s->login->target, given, like);
    s->login->tries = (struct pool_tries){0};
}

/* Takes over what an accept says about the user and the upstream. */
static bool
take_accept(struct session *s)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;
    const struct verdict *v = &login->verdict;

    if (v->user.ptr != NULL) {
        if (has_control(v->user))
            return false;
        d->credentials.user = v->user;
        record_set(&s->record.user, v->user);
    }
    record_set(&s->record.policy, v->policy);
    aim(s, target_is_set(&v->target) ? &v->target : &s->listener->upstream,
        &s->listener->upstream);
    login->attempts_end = s->listener->limits.upstream_attempts;
    login->fallback = (struct target){0};
    d->login = (struct login){
        .user = d->credentials.user,
        .token = mechanism_has_token(d->credentials.mechanism),
        .password = d->credentials.password,
        .forward = s->listener->settings.forward,
    };
    if (v->has_login)
        d->login = v->login;
    return true;
}

/* What is about a user, and would tell who there is, is kept for the end of the
 * dialogue, and told as a wrong password then.  A limit and the like is not. */
static bool
is_about_user(const struct verdict *v)
{
    enum reason reason = v->refusal.reason;

    return v->kind == VERDICT_REJECT &&
           (reason == REASON_BAD_CREDENTIALS || reason == REASON_NOT_ALLOWED ||
            reason == REASON_EXPIRED);
}

/* SCRAM goes on: with the user's verifier, or with one that nothing fits. */
static enum phase
answer_verifier(struct session *s)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;
    const struct verdict *v = &login->verdict;
    struct scram_verifier nobody;

    bool known = v->kind == VERDICT_VERIFIER;
    if (is_refusal(v) && !is_about_user(v))
        return session_refuse(s, STAGE_LOGIN);
    if (!known && v->kind != VERDICT_REJECT)
        return fail(s, STAGE_LOGIN, S("no policy has told the verifier"));
    if (!known) {
        login->nobody = v->log.ptr != NULL ? v->log : S("there is no verifier");
        login->nobody_by = v->policy;
        scram_verifier_of_nobody(
            s->config->scram_secret, mechanism_hash(d->credentials.mechanism),
            s->config->scram_iterations, d->credentials.user, &nobody);
    }
    if (!sasl_verify(d, known ? v->verifier : &nobody))
        return fail(s, STAGE_LOGIN, S("the verifier can't be used"));
    s->listener->proto->say(d, SAY_CHALLENGE);
    session_let_go(s); /* no generation waits for the client's answer */
    return PHASE_COMMAND;
}

static enum phase
answer_auth(struct session *s)
{
    const struct verdict *v = &s->login->verdict;
    enum stage stage = attempt_stage(s);

    if (is_refusal(v))
        return session_refuse(s, stage);
    if (v->kind == VERDICT_WAIT) {
        if (++s->login->waits > WAITS_MAX)
            return fail(s, stage, S("the policy said wait too often"));
        return session_ask(s, s->login->hook);
    }
    if (v->kind != VERDICT_ACCEPT)
        return fail(s, stage, S("no policy decided"));
    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    if (!take_accept(s))
        return fail(s, stage, S("the policy's user name has control bytes"));
    return session_ask(s, HOOK_ROUTE);
}

static enum phase
answer_route(struct session *s)
{
    struct login_state *login = s->login;
    const struct verdict *v = &login->verdict;

    if (is_refusal(v))
        return session_refuse(s, attempt_stage(s));
    if (v->kind == VERDICT_TO) {
        aim(s, &v->target, &v->target);
        session_aim(s, &login->fallback, &v->fallback, &login->target);
    }
    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    if (!target_is_set(&login->target))
        return fail(s, attempt_stage(s), S("no policy named an upstream"));
    if (identity_is_looping(s))
        return session_end_loop(s, S("it came through too many gateways"));
    return session_connect(s);
}

/* A policy wants another try: at the upstream that it names, or at the pool's
 * next member, or at the same. */
static enum phase
retry(struct session *s)
{
    struct login_state *login = s->login;

    if (target_is_set(&login->verdict.target))
        aim(s, &login->verdict.target, &login->target);
    else if (!session_has_other_member(s))
        login->tries = (struct pool_tries){0};
    return session_connect(s);
}

/* What can't prove who it is won't do so the next time.  Another member of its
 * pool may. */
static bool
may_retry(const struct session *s)
{
    const struct login_state *login = s->login;

    if (login->upstream_attempt >= login->attempts_end)
        return false;
    return login->failed != END_UPSTREAM_UNTRUSTED ||
           (session_has_other_member(s) &&
            !target_is_set(&login->verdict.target));
}

/* The last upstream, which has as many attempts as the first. */
static enum phase
fall_back(struct session *s)
{
    struct login_state *login = s->login;

    aim(s, &login->fallback, &login->fallback);
    login->fallback = (struct target){0};
    login->attempts_end =
        login->upstream_attempt + s->listener->limits.upstream_attempts;
    return session_connect(s);
}

/* The next upstream after a failed one: what the hook said, the pool's next
 * member, or the fallback.  Without any the client hears of it, and the session
 * ends. */
static enum phase
answer_connect_failed(struct session *s)
{
    struct login_state *login = s->login;
    struct verdict *v = &login->verdict;

    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    if (v->kind == VERDICT_RETRY && may_retry(s))
        return retry(s);
    if (v->kind == VERDICT_NONE && may_retry(s) && session_has_other_member(s))
        return session_connect(s);
    if (v->kind == VERDICT_NONE && target_is_set(&login->fallback) &&
        login->failed != END_UPSTREAM_UNTRUSTED)
        return fall_back(s);
    if (!is_refusal(v))
        *v = (struct verdict){.kind = VERDICT_TEMPFAIL,
                              .refusal.reason = REASON_UNAVAILABLE,
                              .policy = slice_of(s->record.policy),
                              .log = login->failure};
    (void)session_refuse(s, attempt_stage(s));
    return session_end(s, login->failed);
}

static enum phase
answer_upstream_auth(struct session *s)
{
    struct login_state *login = s->login;
    struct verdict *v = &login->verdict;

    if (is_refusal(v))
        return session_refuse(s, attempt_stage(s));
    if (v->kind == VERDICT_LOGIN)
        login->dialog.login = v->login;
    return PHASE_LOGIN;
}

/* What the upstream said, for the log.  Some servers repeat the command that
 * they don't understand, and with it the password. */
static struct slice
loggable_reply(const struct session *s)
{
    const struct dialog *d = &s->login->dialog;

    if (redact_holds_credentials(d, d->reply.text))
        return S("(a reply that repeats the password)");
    return d->reply.text;
}

/* The upstream's own "no", reworded by a policy or told as it is mapped. */
static enum phase
answer_upstream_refused(struct session *s)
{
    struct login_state *login = s->login;
    struct verdict *v = &login->verdict;
    const struct reply *reply = &login->dialog.reply;

    if (v->kind == VERDICT_RETRY &&
        login->upstream_attempt < login->attempts_end)
        return retry(s);
    if (!is_refusal(v)) {
        bool verbatim = s->listener->settings.pass_error_message ||
                        login->dialog.login.pass_error_message;
        *v = (struct verdict){.kind = reply->reason == REASON_UNAVAILABLE
                                          ? VERDICT_TEMPFAIL
                                          : VERDICT_REJECT,
                              .refusal.reason = reply->reason,
                              .policy = slice_of(s->record.policy),
                              .refusal.sasl = reply->sasl,
                              .log = loggable_reply(s)};
        if (verbatim)
            v->refusal.verbatim = reply->text;
    }
    return session_refuse(s, attempt_stage(s));
}

enum phase
session_answer(struct session *s)
{
    switch (s->login->hook) {
    case HOOK_CERTIFICATE:
        return session_show_certificate(s);
    case HOOK_CONNECT:
    case HOOK_SECURED:
        return answer_connect(s);
    case HOOK_HELO:
    case HOOK_MAIL:
        return answer_command(s);
    case HOOK_VERIFIER:
        return answer_verifier(s);
    case HOOK_AUTH:
    case HOOK_RCPT:
        return answer_auth(s);
    case HOOK_ROUTE:
        return answer_route(s);
    case HOOK_CONNECT_FAILED:
        return answer_connect_failed(s);
    case HOOK_UPSTREAM_AUTH:
        return answer_upstream_auth(s);
    case HOOK_UPSTREAM_REFUSED:
        return answer_upstream_refused(s);
    case HOOK_REFUSED:
    case HOOK_SPLICED:
    case HOOK_CLOSED:
    case HOOK_COUNT:
        break;
    }
    unreachable();
}
