/* trace_event.c -- what a hook was called with, and what it decided. */
#include "lua/trace_event.h"

#include "base/slice.h"
#include "lua/decision.h"
#include "lua/envelope_object.h"

static void
put_target(struct json_writer *w, const char *name, const struct target *t,
           const struct proto *proto)
{
    char address[TARGET_TEXT_MAX];

    if (target_is_set(t))
        json_text(w, name, target_format(t, proto, address));
}

static void
put_tls(struct json_writer *w, const struct tls_facts *t)
{
    json_begin(w, "tls", '{');
    json_given(w, "version", t->version);
    json_given(w, "cipher", t->cipher);
    json_given(w, "sni", t->sni);
    json_given(w, "alpn", t->alpn);
    if (t->client_asked) {
        json_begin(w, "client_cert", '{');
        json_given(w, "verify", t->client_verify);
        json_given(w, "subject", t->subject);
        json_given(w, "issuer", t->issuer);
        json_given(w, "serial", t->serial);
        json_given(w, "fingerprint", t->fingerprint);
        json_given(w, "fingerprint_sha256", t->fingerprint_sha256);
        json_end(w, '}');
    }
    json_end(w, '}');
}

static void
put_credentials(struct json_writer *w, const struct session *s)
{
    const struct credentials *c = &s->login->dialog.credentials;

    json_begin(w, "credentials", '{');
    json_text(w, "mechanism", slice_of(mechanism_name(c->mechanism)));
    json_text(w, "user", c->user);
    json_given(w, "authzid", c->authzid);
    trace_put_secret(w, "password", c->password.bytes);
    trace_put_secret(w, "response", c->response);
    json_end(w, '}');
}

void
trace_put_facts(struct json_writer *w, const struct session *s, int hook)
{
    const struct login_state *login = s->login;
    char server[ADDR_TEXT_MAX];

    if (login == NULL)
        return;
    if (login->server_addr.len > 0)
        json_text(w, "server",
                  slice_of(addr_format(&login->server_addr, server)));
    json_given(w, "host", login->client_host);
    json_given(w, "helo", login->dialog.envelope.helo);
    json_given(w, "mail", login->dialog.envelope.mail);
    json_given(w, "rcpt", login->dialog.envelope.rcpt);
    if (login->dialog.secure || login->shaking)
        put_tls(w, &login->tls);
    json_number(w, "attempt", s->attempts);
    if (hook == HOOK_AUTH || hook == HOOK_VERIFIER)
        put_credentials(w, s);
    if (hook == HOOK_ROUTE || hook == HOOK_CONNECT_FAILED ||
        hook == HOOK_UPSTREAM_AUTH || hook == HOOK_UPSTREAM_REFUSED)
        put_target(w, "upstream", &login->target, s->listener->proto);
    if (hook == HOOK_CONNECT_FAILED)
        trace_put_safe(w, "failure", s, login->failure);
    if (hook == HOOK_UPSTREAM_REFUSED)
        trace_put_safe(w, "reply", s, login->dialog.reply.text);
}

static void
put_login(struct json_writer *w, const struct login *l)
{
    json_begin(w, "login", '{');
    if (l->none) {
        json_flag(w, "none", true);
    } else {
        json_text(w, "user", l->user);
        json_given(w, "authzid", l->authzid);
        trace_put_secret(w, "password", l->password.bytes);
    }
    if (l->mechanism != MECHANISM_NONE)
        json_text(w, "mechanism", slice_of(mechanism_name(l->mechanism)));
    json_end(w, '}');
}

static void
put_refusal(struct json_writer *w, const struct session *s,
            const struct verdict *v)
{
    trace_put_safe(w, v->kind == VERDICT_REJECT ? "reason" : "log", s, v->log);
    trace_put_safe(w, "text", s, v->refusal.text);
    trace_put_safe(w, "code", s, v->refusal.code);
    trace_put_safe(w, "enhanced", s, v->refusal.enhanced);
    if (v->close)
        json_flag(w, "close", true);
    if (v->bug)
        json_flag(w, "bug", true);
}

void
trace_put_verdict(struct json_writer *w, const struct session *s,
                  const struct verdict *v)
{
    const struct proto *proto = s->listener->proto;

    if (v == NULL || v->kind <= VERDICT_NONE) {
        json_null(w, "decision");
        return;
    }
    json_begin(w, "decision", '{');
    json_text(w, "kind", slice_of(decision_name(v->kind)));
    if (v->kind == VERDICT_REJECT || v->kind == VERDICT_TEMPFAIL)
        put_refusal(w, s, v);
    else
        trace_put_safe(w, "log", s, v->log);
    json_given(w, "user", v->user);
    put_target(w, "upstream", &v->target, proto);
    if (target_is_set(&v->target) && v->target.tls != TLS_OFF)
        json_text(w, "tls", slice_of(target_tls_name(v->target.tls)));
    put_target(w, "fallback", &v->fallback, proto);
    if (v->delay > 0)
        json_number(w, "delay", v->delay);
    if (v->has_login)
        put_login(w, &v->login);
    json_end(w, '}');
}
