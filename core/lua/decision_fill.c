/* decision_fill.c -- a decision becomes the session's verdict. */
#include "base/slice.h"
#include "lua/decision.h"
#include "lua/objects.h"
#include "session/session.h"

/* Copies what was given; NULL stays NULL. */
static bool
copy(struct arena *a, struct slice from, struct slice *to)
{
    *to = (struct slice){0};
    return from.ptr == NULL || arena_copy(a, from, to);
}

static bool
copy_target(struct arena *a, const struct target *from, struct target *to)
{
    *to = *from;
    return copy(a, from->host, &to->host) &&
           copy(a, from->source, &to->source) &&
           copy(a, from->tls_profile, &to->tls_profile) &&
           copy(a, from->server_name, &to->server_name) &&
           copy(a, from->pool, &to->pool) &&
           copy(a, from->pool_key, &to->pool_key);
}

static bool
copy_refusal(struct arena *a, const struct decision *d, enum hook hook,
             struct verdict *v)
{
    struct refusal *r = &v->refusal;
    bool of_login = hook == HOOK_AUTH || hook == HOOK_VERIFIER ||
                    hook == HOOK_UPSTREAM_REFUSED;

    r->stage = hook == HOOK_CONNECT                     ? STAGE_CONNECT
               : hook == HOOK_HELO || hook == HOOK_MAIL ? STAGE_COMMAND
               : hook == HOOK_RCPT                      ? STAGE_RCPT
                                                        : STAGE_LOGIN;
    if (d->kind == VERDICT_TEMPFAIL)
        r->reason = REASON_UNAVAILABLE;
    else if (d->reason.ptr != NULL)
        r->reason = reason_of_label(d->reason);
    else
        r->reason = of_login ? REASON_BAD_CREDENTIALS : REASON_NOT_ALLOWED;
    struct slice word = d->log.ptr != NULL ? d->log : d->reason;
    return copy(a, d->text, &r->text) && copy(a, d->code, &r->code) &&
           copy(a, d->enhanced, &r->enhanced) && copy(a, d->sasl, &r->sasl) &&
           copy(a, word, &v->log);
}

/* A policy says whether, the listener how. */
static enum forward
forward_of(enum forward configured, bool wanted)
{
    if (!wanted)
        return FORWARD_OFF;
    return configured == FORWARD_OFF ? FORWARD_OFFERED : configured;
}

/* What the policy left out is as the client logged in, or as the login that
 * the session has planned. */
static bool
copy_login(struct session *s, const struct decision *d, struct verdict *v)
{
    struct arena *a = &s->login->arena;
    struct dialog *dialog = &s->login->dialog;
    struct login *l = &v->login;
    bool planned = s->login->hook == HOOK_UPSTREAM_AUTH;

    *l = planned
             ? dialog->login
             : (struct login){
                   .user =
                       v->user.ptr != NULL ? v->user : dialog->credentials.user,
                   .password = dialog->credentials.password,
                   .token = mechanism_has_token(dialog->credentials.mechanism),
                   .forward = dialog->settings->forward,
               };
    l->mechanism = d->mechanism;
    l->none = d->none;
    l->pass_error_message = d->pass_error_message;
    if (d->xclient >= 0)
        l->forward = forward_of(dialog->settings->forward, d->xclient != 0);
    v->has_login = true;
    if (d->login_user.ptr != NULL && !copy(a, d->login_user, &l->user))
        return false;
    if (d->authzid.ptr != NULL && !copy(a, d->authzid, &l->authzid))
        return false;
    if (d->password.ptr == NULL && d->token.ptr == NULL)
        return true;
    /* A secret that was wiped since is nothing but NULs. */
    struct slice given = d->token.ptr != NULL ? d->token : d->password;
    l->token = d->token.ptr != NULL;
    return !has_control(given) && copy(a, given, &l->password.bytes);
}

static bool
copy_verifier(struct arena *a, const struct scram_verifier *from,
              struct verdict *v)
{
    struct scram_verifier *copy = arena_alloc(a, sizeof *copy);

    if (copy != NULL)
        *copy = *from;
    v->verifier = copy;
    return copy != NULL;
}

bool
decision_fill(lua_State *L, int index, struct session *s, struct verdict *v)
{
    const struct decision *d = lua_touserdata(L, index);
    struct arena *a = &s->login->arena;

    v->kind = d->kind;
    v->delay = d->delay;
    v->close = d->close;
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, d->vars);
    lua_remove(L, -2);
    v->identity = d->kind == VERDICT_CERTIFICATE
                      ? config_certificate(s->config, d->certificate)
                      : NULL;
    if (d->kind == VERDICT_REJECT || d->kind == VERDICT_TEMPFAIL)
        return copy_refusal(a, d, s->login->hook, v);
    if (d->kind == VERDICT_VERIFIER)
        return copy_verifier(a, &d->verifier, v);
    if (!copy(a, d->user, &v->user) || !copy(a, d->log, &v->log) ||
        (d->has_target && !copy_target(a, &d->target, &v->target)))
        return false;
    if (d->has_fallback && !copy_target(a, &d->fallback, &v->fallback))
        return false;
    return !d->has_login || copy_login(s, d, v);
}
