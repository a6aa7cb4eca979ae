/* secure.c -- TLS on either side of a session: when it begins, and what it
 * means that it is up or has failed. */
#include "base/log.h"
#include "base/slice.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/sessions.h"
#include "session/side.h"

#include <stdio.h>

static enum phase
client_failed(struct session *s)
{
    const char *why = stream_tls_failure(&s->client.stream);

    sessions_count_tls(s, "client", "failed");
    record_set(&s->record.log, slice_of(why));
    /* Nothing can be said any more: the bytes would not be TLS. */
    buf_discard(&s->login->to_client, buf_len(&s->login->to_client));
    s->client.broken = true;
    return session_end(s, END_TLS_FAILED);
}

/* The words of nginx, told inside TLS. */
static enum phase
refuse_certificate(struct session *s)
{
    struct dialog *d = &s->login->dialog;
    bool none = slice_equal(s->login->tls.client_verify, S("NONE"));

    d->refusal = (struct refusal){
        .reason = REASON_CERTIFICATE,
        .stage = STAGE_CONNECT,
    };
    if (none)
        d->refusal.text = S("No required SSL certificate");
    s->listener->proto->say(d, SAY_REFUSAL);
    return session_end(s, END_TLS_CERTIFICATE);
}

static enum phase
client_is_secure(struct session *s)
{
    struct login_state *login = s->login;
    struct tls_facts *tls = &login->tls;
    char text[256];

    login->shaking = false;
    dialog_restart(&login->dialog);
    if (login->greeted)
        identity_forget(s);
    login->dialog.secure = true;
    if (!stream_tls_facts(&s->client.stream, &login->arena, tls))
        return session_end(s, END_RESOURCES);
    sessions_count_tls(s, "client", tls->resumed ? "resumed" : "full");
    if (s->listener->settings.ask_verifier &&
        !stream_tls_bindings(&s->client.stream, &login->arena,
                             &login->dialog.tls_exporter,
                             &login->dialog.tls_unique))
        return session_end(s, END_RESOURCES);
    login->dialog.certified = tls->client_asked && tls->client_verified;
    (void)snprintf(text, sizeof text, "%.*s %.*s%s%.*s", (int)tls->version.len,
                   tls->version.ptr, (int)tls->cipher.len, tls->cipher.ptr,
                   tls->sni.len > 0 ? " " : "",
                   tls->sni.len < 128 ? (int)tls->sni.len : 128, tls->sni.ptr);
    record_set(&s->record.tls, slice_of(text));
    if (tls->client_asked && !tls->client_passes)
        return refuse_certificate(s);
    return PHASE_COMMAND;
}

enum phase
session_secure_client(struct session *s)
{
    struct login_state *login = s->login;
    struct stream *stream = &s->client.stream;

    if (!session_flush_client(s)) /* the go-ahead of STARTTLS */
        return PHASE_HANDSHAKE;
    if (!login->shaking) {
        if (s->listener->tls_context == NULL ||
            !stream_start_tls_server(stream, s->listener->tls_context))
            return session_end(s, END_TLS_FAILED);
        if (s->home->policy->ops->has(s->home->policy, s->listener,
                                      HOOK_CERTIFICATE))
            stream_ask_certificate(stream);
        login->shaking = true;
    }
    switch (stream_handshake(stream)) {
    case IO_DONE:
        return client_is_secure(s);
    case IO_AGAIN:
        break;
    case IO_EOF:
        s->client.eof = true;
        return client_failed(s);
    case IO_ERROR:
        return client_failed(s);
    }
    if (!stream_asks_certificate(stream) || login->certificate_asked)
        return PHASE_HANDSHAKE;
    login->certificate_asked = true;
    login->tls.sni = stream_tls_sni(stream);
    return session_ask(s, HOOK_CERTIFICATE);
}

enum phase
session_show_certificate(struct session *s)
{
    const struct verdict *v = &s->login->verdict;

    record_set(&s->record.policy, v->policy);
    if (v->kind == VERDICT_CERTIFICATE || v->kind == VERDICT_NONE)
        stream_show(&s->client.stream, v->identity);
    else
        stream_show_nothing(&s->client.stream, v->log);
    return PHASE_HANDSHAKE;
}

enum phase
session_secure_upstream(struct session *s)
{
    struct login_state *login = s->login;
    const struct target *to = &login->target;
    char place[PLACE_TEXT_MAX];

    /* Whatever came before the handshake came from nobody in particular. */
    if (!buf_is_empty(&login->from_upstream))
        return session_upstream_failed(
            s, END_UPSTREAM_INJECTION,
            S("sent plaintext before TLS had begun"));
    struct tls_client_context *context =
        config_tls_profile(s->config, to->tls_profile);
    if (context == NULL)
        return session_upstream_failed(
            s, END_UPSTREAM_TLS,
            S("the configuration's tls_profiles has no such profile"));
    place_format(to->host, to->port, place);
    struct tls_target target = {
        .verify = to->verify,
        .name = to->server_name.len > 0 ? to->server_name : to->host,
        .pins = to->pins,
        .pin_count = to->pin_count,
        .place = slice_of(place),
    };
    side_tune(&s->upstream); /* what follows a handshake is not an answer */
    if (!stream_start_tls_client(&s->upstream.stream, context, &target))
        return session_upstream_failed(s, END_UPSTREAM_TLS,
                                       S("TLS could not be started"));
    login->upstream_shaking = true;
    return session_shake_upstream(s);
}

enum phase
session_shake_upstream(struct session *s)
{
    struct stream *stream = &s->upstream.stream;
    enum io io = stream_handshake(stream);

    if (io == IO_AGAIN)
        return s->phase;
    if (io == IO_DONE) {
        s->login->upstream_shaking = false;
        sessions_count_tls(s, "upstream",
                           stream_tls_is_resumed(stream) ? "resumed" : "full");
        return s->phase;
    }
    if (stream_tls_has_stumbled(stream)) {
        s->login->upstream_attempt--; /* another one of the same */
        return session_dial(s);
    }
    sessions_count_tls(s, "upstream", "failed");
    return session_upstream_failed(s,
                                   stream_tls_is_untrusted(stream)
                                       ? END_UPSTREAM_UNTRUSTED
                                       : END_UPSTREAM_TLS,
                                   slice_of(stream_tls_failure(stream)));
}
