#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/sasl_upstream.h"
#include "proto/smtp.h"

#define COMMAND_MAX 512 /* with CRLF: longer responses go on their own line */

/* dialog->upstream_state: what the next reply answers. */
enum smtp_waiting {
    WAITING_GREETING,
    WAITING_EHLO,
    WAITING_HELO,
    WAITING_STARTTLS,
    WAITING_XCLIENT,
    WAITING_PLAIN_PROMPT,    /* 334, then the response goes out */
    WAITING_CHALLENGE,       /* the 334 of CRAM-MD5 */
    WAITING_USER_PROMPT,     /* AUTH LOGIN */
    WAITING_PASSWORD_PROMPT, /* AUTH LOGIN */
    WAITING_AUTH,
    WAITING_MAIL,
    WAITING_RCPT,
};

static enum ask
close_for(struct dialog *d, enum fault fault)
{
    d->fault = fault;
    return ASK_CLOSE;
}

static enum ask
wait_for(struct dialog *d, enum smtp_waiting what)
{
    d->upstream_state = what;
    return ASK_INPUT;
}

static enum ask
refuse(struct dialog *d, enum reason reason, struct slice reply)
{
    d->reply.reason = reason;
    d->reply.text = line_keep_text(d, reply);
    return ASK_REFUSE;
}

/* Whether the login is about a recipient: the client did not AUTH. */
static bool
is_transaction(const struct dialog *d)
{
    return d->envelope.rcpt.len > 0;
}

static bool
needs_auth(const struct dialog *d)
{
    return !d->login.none &&
           !(is_transaction(d) && d->login.password.bytes.len == 0);
}

/* The upstream hears who the client said to be once it knows, by XCLIENT, that
 * there is a client; until then it hears the gateway's name. */
static enum ask
send_hello(struct dialog *d, bool ehlo)
{
    bool as_client =
        (d->upstream_offers & XCLIENT_DONE) != 0 && d->envelope.helo.len > 0;

    dialog_send_line(d, ehlo ? S("EHLO ") : S("HELO "),
                     as_client ? d->envelope.helo : d->settings->server_name);
    return wait_for(d, ehlo ? WAITING_EHLO : WAITING_HELO);
}

static enum ask
on_greeting(struct dialog *d, unsigned code, struct slice reply)
{
    if (code >= 400) {
        d->reply.text = line_keep_text(d, reply);
        return close_for(d, FAULT_GREETING);
    }
    if (code != 220)
        return close_for(d, FAULT_GARBAGE);
    return send_hello(d, d->envelope.ehlo || needs_auth(d) || d->probing ||
                             d->upstream_starttls ||
                             d->forward != FORWARD_OFF || !d->envelope.greeted);
}

static enum ask
take_leave(struct dialog *d)
{
    dialog_send_line(d, S("QUIT"), S(""));
    return close_for(d, FAULT_QUIT);
}

static struct slice
response_of(struct dialog *d, enum mechanism m)
{
    return mechanism_has_token(m) ? sasl_encode_token(d, m)
                                  : sasl_encode_plain(d);
}

/* PLAIN, or a token. */
static enum ask
send_auth_at_once(struct dialog *d, enum mechanism m)
{
    struct slice response = response_of(d, m);
    struct slice name = slice_of(mechanism_name(m));

    d->upstream_mechanism = m;
    if (sizeof "AUTH  \r\n" - 1 + name.len + response.len > COMMAND_MAX) {
        dialog_send_line(d, S("AUTH "), name);
        return wait_for(d, WAITING_PLAIN_PROMPT);
    }
    dialog_put_upstream(d, S("AUTH "));
    dialog_put_upstream(d, name);
    dialog_send_line(d, S(" "), response);
    return wait_for(d, WAITING_AUTH);
}

static enum ask
send_auth_token(struct dialog *d)
{
    enum mechanism m = sasl_token_mechanism(d, d->upstream_mechanisms, true);

    return m != MECHANISM_NONE ? send_auth_at_once(d, m)
                               : close_for(d, FAULT_NO_LOGIN);
}

static enum ask
send_auth_external(struct dialog *d)
{
    struct slice response = sasl_encode_external(d);

    if ((d->upstream_offers & OFFER_EXTERNAL) == 0)
        return close_for(d, FAULT_NO_LOGIN);
    dialog_send_line(d, S("AUTH EXTERNAL "),
                     response.len > 0 ? response : S("="));
    return wait_for(d, WAITING_AUTH);
}

/* PLAIN if offered, else LOGIN or CRAM-MD5, which know no authorization
 * identity; or just the one that the policy asked for. */
static enum ask
send_auth(struct dialog *d)
{
    enum mechanism wanted = d->login.mechanism;
    unsigned offers = d->upstream_offers;

    if (!login_has_password(d))
        return close_for(d, FAULT_NO_LOGIN);
    if (!login_is_sane(d))
        return refuse(d, REASON_SERVER_BUG, S("500 control character"));
    if (wanted == MECHANISM_EXTERNAL)
        return send_auth_external(d);
    if (d->login.user.len == 0)
        return close_for(d, FAULT_NO_LOGIN);
    if (login_tells_token(d))
        return send_auth_token(d);
    if ((offers & OFFER_PLAIN) != 0 &&
        (wanted == MECHANISM_NONE || wanted == MECHANISM_PLAIN))
        return send_auth_at_once(d, MECHANISM_PLAIN);
    if ((offers & OFFER_LOGIN) != 0 && d->login.authzid.len == 0 &&
        (wanted == MECHANISM_NONE || wanted == MECHANISM_LOGIN)) {
        dialog_send_line(d, S("AUTH LOGIN"), S(""));
        return wait_for(d, WAITING_USER_PROMPT);
    }
    if ((offers & OFFER_CRAM_MD5) != 0 && d->login.authzid.len == 0 &&
        (wanted == MECHANISM_NONE || wanted == MECHANISM_CRAM_MD5)) {
        dialog_send_line(d, S("AUTH CRAM-MD5"), S(""));
        return wait_for(d, WAITING_CHALLENGE);
    }
    return close_for(d, FAULT_NO_LOGIN);
}

static enum ask
send_mail(struct dialog *d)
{
    dialog_send_line(d, d->envelope.mail, S(""));
    return wait_for(d, WAITING_MAIL);
}

static enum ask
accept_login(struct dialog *d)
{
    if (is_transaction(d))
        return send_mail(d);
    dialog_put_client(d, S("235 2.0.0 OK\r\n"));
    return ASK_SPLICE;
}

static enum ask
authenticate(struct dialog *d)
{
    return needs_auth(d) ? send_auth(d) : accept_login(d);
}

static enum ask
send_starttls(struct dialog *d)
{
    if ((d->upstream_offers & OFFER_STARTTLS) == 0)
        return close_for(d, FAULT_NO_STARTTLS);
    dialog_send_line(d, S("STARTTLS"), S(""));
    return wait_for(d, WAITING_STARTTLS);
}

enum ask
smtp_on_upstream_secured(struct dialog *d)
{
    d->upstream_offers = ON_TLS;
    return send_hello(d, true);
}

/* Who the client is, once, then the login. */
static enum ask
introduce(struct dialog *d)
{
    bool is_first = (d->upstream_offers & XCLIENT_DONE) == 0;

    if (is_first && d->forward == FORWARD_ALWAYS)
        smtp_xclient_assume(d);
    if (is_first && d->forward != FORWARD_OFF && smtp_xclient_send(d))
        return wait_for(d, WAITING_XCLIENT);
    return authenticate(d);
}

static enum ask
on_hello(struct dialog *d, unsigned code, struct slice reply)
{
    bool ehlo = d->upstream_state == WAITING_EHLO;

    bool must_secure =
        d->upstream_starttls && (d->upstream_offers & ON_TLS) == 0;

    if (code >= 500 && ehlo && !must_secure)
        return send_hello(d, false);
    if (code >= 400)
        return refuse(d, REASON_UNAVAILABLE, reply);
    if (code != 250)
        return close_for(d, FAULT_GARBAGE);
    if (ehlo)
        smtp_learn(d, reply);
    if (must_secure)
        return send_starttls(d);
    if (d->probing)
        return take_leave(d);
    return introduce(d);
}

/* The upstream then knows nothing of what was said before, EHLO included. */
static enum ask
on_xclient(struct dialog *d, unsigned code, struct slice reply)
{
    if (code >= 400)
        return refuse(d, REASON_SERVER_BUG, reply);
    if (code != 220 && code != 250)
        return close_for(d, FAULT_GARBAGE);
    if (smtp_xclient_send(d))
        return ASK_INPUT;
    d->upstream_offers = XCLIENT_DONE | (d->upstream_offers & ON_TLS);
    /* As nginx, which then repeats what the client has said, if it has. */
    if (d->forward == FORWARD_ALWAYS && !d->envelope.greeted && !needs_auth(d))
        return accept_login(d);
    return send_hello(d, d->envelope.ehlo || needs_auth(d) ||
                             !d->envelope.greeted);
}

static enum ask
answer_challenge(struct dialog *d, struct slice reply)
{
    struct slice challenge;

    if (!smtp_reply_next(&reply, &challenge))
        return close_for(d, FAULT_GARBAGE);
    struct slice response = sasl_encode_cram_md5(d, challenge);
    if (response.len == 0)
        return close_for(d, FAULT_GARBAGE);
    dialog_send_line(d, response, S(""));
    return wait_for(d, WAITING_AUTH);
}

static enum ask
on_prompt(struct dialog *d, unsigned code, struct slice reply)
{
    if (code >= 400)
        return refuse(d, smtp_reply_reason(code), reply);
    if (code != 334)
        return close_for(d, FAULT_GARBAGE);
    if (d->upstream_state == WAITING_USER_PROMPT) {
        dialog_send_line(d, sasl_encode(d, d->login.user), S(""));
        return wait_for(d, WAITING_PASSWORD_PROMPT);
    }
    if (d->upstream_state == WAITING_CHALLENGE)
        return answer_challenge(d, reply);
    if (d->upstream_state == WAITING_PASSWORD_PROMPT)
        dialog_send_line(d, sasl_encode(d, d->login.password.bytes), S(""));
    else
        dialog_send_line(d, response_of(d, d->upstream_mechanism), S(""));
    return wait_for(d, WAITING_AUTH);
}

/* The token is refused: the reply that says so comes once this is answered. */
static enum ask
answer_denial(struct dialog *d, struct slice reply)
{
    enum mechanism m = d->upstream_mechanism;
    struct slice challenge;

    if (!mechanism_has_token(m) || !smtp_reply_next(&reply, &challenge))
        return close_for(d, FAULT_GARBAGE);
    dialog_send_line(d, sasl_note_denial(d, m, challenge), S(""));
    return ASK_INPUT;
}

static enum ask
on_auth(struct dialog *d, unsigned code, struct slice reply)
{
    if (code == 334)
        return answer_denial(d, reply);
    if (code >= 400)
        return refuse(d, smtp_reply_reason(code), reply);
    if (code != 235)
        return close_for(d, FAULT_GARBAGE);
    return accept_login(d);
}

static enum ask
on_mail(struct dialog *d, unsigned code, struct slice reply)
{
    if (code >= 400)
        return refuse(d, code < 500 ? REASON_UNAVAILABLE : REASON_NOT_ALLOWED,
                      reply);
    if (code != 250)
        return close_for(d, FAULT_GARBAGE);
    dialog_send_line(d, d->envelope.rcpt, S(""));
    return wait_for(d, WAITING_RCPT);
}

enum ask
smtp_on_reply(struct dialog *d, struct slice reply)
{
    unsigned code = smtp_reply_code(reply);
    enum smtp_waiting waiting = (enum smtp_waiting)d->upstream_state;

    if (code == 421 && waiting != WAITING_GREETING && waiting != WAITING_RCPT)
        return close_for(d, FAULT_BYE);
    switch (waiting) {
    case WAITING_GREETING:
        return on_greeting(d, code, reply);
    case WAITING_EHLO:
    case WAITING_HELO:
        return on_hello(d, code, reply);
    case WAITING_STARTTLS:
        return code == 220 ? ASK_STARTTLS : close_for(d, FAULT_NO_STARTTLS);
    case WAITING_XCLIENT:
        return on_xclient(d, code, reply);
    case WAITING_PLAIN_PROMPT:
    case WAITING_CHALLENGE:
    case WAITING_USER_PROMPT:
    case WAITING_PASSWORD_PROMPT:
        return on_prompt(d, code, reply);
    case WAITING_AUTH:
        return on_auth(d, code, reply);
    case WAITING_MAIL:
        return on_mail(d, code, reply);
    case WAITING_RCPT:
        dialog_put_client(d, reply); /* whatever it is */
        return ASK_SPLICE;
    }
    unreachable();
}
