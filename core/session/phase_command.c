/* phase_command.c -- the client's commands until it has said who it is. */
#include "base/slice.h"
#include "proto/username.h"
#include "session/identity.h"
#include "session/observer.h"
#include "session/record.h"
#include "session/sessions.h"

#define ANSWER_ROOM 4096 /* no answer to one command is longer */

/* Applies the listener's rules for user names; false if it breaks them. */
static bool
user_is_fit(struct session *s)
{
    struct credentials *c = &s->login->dialog.credentials;
    struct slice user;

    /* Whose a token is may be told by the token alone. */
    if (c->user.len == 0 && mechanism_has_token(c->mechanism))
        return true;
    if (has_control(c->user) || has_control(c->authzid) ||
        has_control(c->password.bytes))
        return false;
    if (!username_apply(&s->listener->username, &s->login->arena, c->user,
                        &user))
        return false;
    c->user = user;
    return true;
}

/* An attempt begins with `first`, and uses one up. */
static enum phase
begin_attempt(struct session *s, enum hook first)
{
    struct login_state *login = s->login;
    struct dialog *d = &login->dialog;

    s->attempts++;
    login->waits = 0;
    login->upstream_attempt = 0;
    s->record.mechanism = mechanism_name(d->credentials.mechanism);
    login->hook = first;
    if (!user_is_fit(s)) {
        record_set(&s->record.user, S(""));
        login->verdict = (struct verdict){
            .kind = VERDICT_REJECT,
            .refusal.reason = REASON_BAD_CREDENTIALS,
            .log =
                S("the user name or password has bytes that are not allowed")};
        return session_refuse(s, STAGE_LOGIN);
    }
    record_set(&s->record.user, d->credentials.user);
    return session_ask(s, first);
}

enum phase
session_try_login(struct session *s)
{
    /* Of SCRAM this is the second half. */
    if (mechanism_is_scram(s->login->dialog.credentials.mechanism))
        return session_ask(s, HOOK_AUTH);
    return begin_attempt(s, HOOK_AUTH);
}

enum phase
session_ask_verifier(struct session *s)
{
    s->login->nobody = s->login->nobody_by = (struct slice){0};
    return begin_attempt(s, HOOK_VERIFIER);
}

/* Who has no verifier hears the same, at the same moment, as who has the wrong
 * password. */
enum phase
session_refuse_proof(struct session *s)
{
    struct login_state *login = s->login;

    login->verdict = (struct verdict){
        .kind = VERDICT_REJECT,
        .refusal.reason = REASON_BAD_CREDENTIALS,
        .policy = login->nobody_by,
        .log = S("the proof is of another password"),
    };
    if (login->nobody.ptr != NULL)
        login->verdict.log = login->nobody;
    else if (login->dialog.downgraded)
        login->verdict.log = S("the channel binding was kept from the client");
    return session_refuse(s, STAGE_LOGIN);
}

static enum phase
try_rcpt(struct session *s)
{
    s->attempts++;
    s->login->waits = 0;
    s->login->upstream_attempt = 0;
    s->record.mechanism = mechanism_name(MECHANISM_NONE);
    return session_ask(s, HOOK_RCPT);
}

static enum phase
close_for(struct session *s, enum fault fault)
{
    if (fault == FAULT_QUIT)
        return session_end(s, END_CLIENT_QUIT);
    if (fault == FAULT_RESOURCES)
        return session_end(s, END_RESOURCES);
    return session_end(s, END_ABUSE);
}

/* What came behind the command came in clear, and is nobody's
 * (CVE-2011-0411). */
static enum phase
start_tls(struct session *s)
{
    if (!buf_is_empty(&s->login->from_client))
        return session_end(s, END_STARTTLS_INJECTION);
    s->login->starttls = true;
    return PHASE_HANDSHAKE;
}

/* What the protocol wants done; COMMAND to go on with the next command. */
static enum phase
act(struct session *s, enum ask ask)
{
    struct dialog *d = &s->login->dialog;

    if (d->fault == FAULT_RESOURCES)
        return session_end(s, END_RESOURCES);
    if (d->errors >= s->listener->limits.errors)
        return session_say_bye(s, REASON_TOO_MANY, END_TOO_MANY_ERRORS);
    switch (ask) {
    case ASK_INPUT:
        return PHASE_COMMAND;
    case ASK_AUTH:
        return session_try_login(s);
    case ASK_VERIFIER:
        return session_ask_verifier(s);
    case ASK_WRONG:
        return session_refuse_proof(s);
    case ASK_DENIED:
        return session_end_refusal(s);
    case ASK_RCPT:
        return try_rcpt(s);
    case ASK_HELO:
        return session_ask(s, HOOK_HELO);
    case ASK_MAIL:
        return session_ask(s, HOOK_MAIL);
    case ASK_CLOSE:
        return close_for(s, d->fault);
    case ASK_IDENTITY:
        return identity_take_over(s);
    case ASK_STARTTLS:
        return start_tls(s);
    case ASK_SPLICE:
    case ASK_REFUSE:
        break;
    }
    unreachable();
}

/* Handles one command, if a whole one has arrived. */
static enum phase
one_command(struct session *s, bool *waiting)
{
    struct dialog *d = &s->login->dialog;
    struct buf *in = &s->login->from_client;
    struct slice command;

    switch (d->proto->frame_command(d, buf_bytes(in), &command)) {
    case PARSE_MORE:
        *waiting = true;
        return s->client.eof ? session_end(s, END_CLIENT_CLOSED)
                             : PHASE_COMMAND;
    case PARSE_PROMPT:
        d->proto->say(d, SAY_GO_AHEAD);
        return PHASE_COMMAND;
    case PARSE_BAD:
        d->proto->say(d, SAY_MALFORMED);
        return session_end(s, END_MALFORMED);
    case PARSE_DONE:
        break;
    }
    size_t len = command.len;
    if (session_observer != NULL)
        session_observer->said(
            s, d->sasl.active ? SPEAKER_CLIENT_RESPONSE : SPEAKER_CLIENT,
            command);
    enum ask ask = d->proto->on_command(d, command);
    buf_discard(in, len);
    return act(s, ask);
}

enum phase
phase_command(struct session *s)
{
    struct login_state *login = s->login;
    bool waiting = false;

    while (!waiting) {
        if (s->home->draining)
            return session_say_bye(s, REASON_SHUTDOWN, END_SHUTDOWN);
        if (buf_room(&login->to_client) < ANSWER_ROOM &&
            !session_flush_client(s))
            return PHASE_COMMAND;
        enum phase next = one_command(s, &waiting);
        if (next != PHASE_COMMAND)
            return next;
    }
    return PHASE_COMMAND;
}
