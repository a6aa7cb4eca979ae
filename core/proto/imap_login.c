#include "proto/imap_login.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/imap_capabilities.h"
#include "proto/sasl_upstream.h"

/* What LITERAL- allows to be sent unasked (RFC 7888 5). */
#define UNASKED_MAX 4096

/* Longer strings go as literals: old servers have small line buffers. */
#define QUOTED_MAX 256

/* Longer responses go on their own line, for which servers have more room. */
#define INITIAL_MAX 4096

struct slice
imap_login_tag(const struct dialog *d)
{
    return d->tag.len > 0 ? d->tag : S("L");
}

static enum ask
close_for(struct dialog *d, enum fault fault)
{
    d->fault = fault;
    return ASK_CLOSE;
}

static bool
offers(const struct dialog *d, const char *name)
{
    return imap_has_capability(d->upstream_capabilities, slice_of(name));
}

/* Printable ASCII may stand in quotes. */
static bool
is_quotable(struct slice value)
{
    if (value.len > QUOTED_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~')
            return false;
    }
    return true;
}

/* Writes `value` as an argument.  false: as far as the announcement of a
 * literal, which the upstream must ask for. */
static bool
put_argument(struct dialog *d, struct slice value)
{
    /* Without reconciliation nothing is taken for granted: literals, one at
     * a time, is how nginx always did it. */
    if (d->settings->pass_capabilities && is_quotable(value)) {
        dialog_put_upstream(d, S(" "));
        dialog_put_quoted(d, value);
        return true;
    }
    bool unasked = offers(d, "LITERAL+") ||
                   (offers(d, "LITERAL-") && value.len <= UNASKED_MAX);
    dialog_tell_upstream(d, unasked ? " {%zu+}\r\n" : " {%zu}\r\n", value.len);
    if (!unasked)
        return false;
    d->upstream_offers |= OFFERS_LITERAL;
    dialog_put_upstream(d, value);
    return true;
}

static enum ask
put_password(struct dialog *d)
{
    d->upstream_state = STATE_PASSWORD;
    if (!put_argument(d, d->login.password.bytes))
        return ASK_INPUT;
    dialog_put_upstream(d, S("\r\n"));
    d->upstream_state = STATE_ANSWER;
    return ASK_INPUT;
}

static enum ask
start_login_command(struct dialog *d)
{
    dialog_put_upstream(d, imap_login_tag(d));
    dialog_put_upstream(d, S(" LOGIN"));
    d->upstream_state = STATE_USER;
    if (!put_argument(d, d->login.user))
        return ASK_INPUT;
    return put_password(d);
}

/* What is sent once the upstream is ready for it. */
static struct slice
response_of(struct dialog *d, enum mechanism m)
{
    if (mechanism_has_token(m))
        return sasl_encode_token(d, m);
    return m == MECHANISM_EXTERNAL ? sasl_encode_external(d)
                                   : sasl_encode_plain(d);
}

/* PLAIN, EXTERNAL, or a token. */
static enum ask
start_authenticate(struct dialog *d, enum mechanism m)
{
    struct slice response = response_of(d, m);

    dialog_put_upstream(d, imap_login_tag(d));
    dialog_put_upstream(d, S(" AUTHENTICATE "));
    dialog_put_upstream(d, slice_of(mechanism_name(m)));
    d->upstream_state = STATE_RESPONSE;
    if (offers(d, "SASL-IR") && response.len <= INITIAL_MAX) {
        dialog_put_upstream(d, S(" "));
        dialog_put_upstream(d, response.len > 0 ? response : S("="));
        d->upstream_state = STATE_ANSWER;
    }
    dialog_put_upstream(d, S("\r\n"));
    return ASK_INPUT;
}

static enum ask
start_cram_md5(struct dialog *d)
{
    dialog_put_upstream(d, imap_login_tag(d));
    dialog_put_upstream(d, S(" AUTHENTICATE CRAM-MD5\r\n"));
    d->upstream_state = STATE_CHALLENGE;
    return ASK_INPUT;
}

static enum mechanism
choose_for_token(const struct dialog *d)
{
    unsigned offered = 0;

    if (offers(d, "AUTH=OAUTHBEARER"))
        offered |= MECHANISM_BIT(MECHANISM_OAUTHBEARER);
    if (offers(d, "AUTH=XOAUTH2"))
        offered |= MECHANISM_BIT(MECHANISM_XOAUTH2);
    return sasl_token_mechanism(d, offered,
                                (d->upstream_offers & OFFERS_KNOWN) != 0);
}

/* The mechanism that a policy wants, or the first that the upstream takes. */
static enum mechanism
choose(const struct dialog *d)
{
    const struct login *login = &d->login;

    if (login_tells_token(d))
        return choose_for_token(d);
    if (login->mechanism != MECHANISM_NONE)
        return login->mechanism;
    if (login->authzid.len > 0)
        return MECHANISM_PLAIN;
    if (!offers(d, "LOGINDISABLED"))
        return MECHANISM_LOGIN;
    bool can_plain =
        (d->upstream_offers & OFFERS_KNOWN) == 0 || offers(d, "AUTH=PLAIN");
    return can_plain ? MECHANISM_PLAIN : MECHANISM_CRAM_MD5;
}

/* Whether the upstream takes `m`, as far as is known. */
static bool
takes(const struct dialog *d, enum mechanism m)
{
    bool known = (d->upstream_offers & OFFERS_KNOWN) != 0;

    switch (m) {
    case MECHANISM_PLAIN:
        return !known || offers(d, "AUTH=PLAIN");
    case MECHANISM_LOGIN:
        return !offers(d, "LOGINDISABLED") && d->login.authzid.len == 0;
    case MECHANISM_CRAM_MD5:
        return (!known || offers(d, "AUTH=CRAM-MD5")) &&
               d->login.authzid.len == 0;
    case MECHANISM_EXTERNAL:
        return !known || offers(d, "AUTH=EXTERNAL");
    case MECHANISM_OAUTHBEARER:
    case MECHANISM_XOAUTH2: /* chosen among what is offered */
        return d->login.token;
    case MECHANISM_NONE:
    case MECHANISM_APOP:
    case MECHANISM_SCRAM_SHA_1:
    case MECHANISM_SCRAM_SHA_1_PLUS:
    case MECHANISM_SCRAM_SHA_256:
    case MECHANISM_SCRAM_SHA_256_PLUS:
    case MECHANISM_COUNT:
        break;
    }
    return false;
}

enum ask
imap_login_start(struct dialog *d)
{
    enum mechanism m = choose(d);

    if (d->login.none || !login_has_password(d) || !takes(d, m))
        return close_for(d, FAULT_NO_LOGIN);
    if (m == MECHANISM_LOGIN)
        return start_login_command(d);
    d->upstream_mechanism = m;
    return m == MECHANISM_CRAM_MD5 ? start_cram_md5(d)
                                   : start_authenticate(d, m);
}

static enum ask
answer_challenge(struct dialog *d, struct slice challenge)
{
    struct slice response = sasl_encode_cram_md5(d, challenge);

    if (response.len == 0)
        return close_for(d, FAULT_GARBAGE);
    dialog_send_line(d, response, S(""));
    d->upstream_state = STATE_ANSWER;
    return ASK_INPUT;
}

/* The token is refused: the tagged NO comes once this is answered. */
static enum ask
answer_denial(struct dialog *d, struct slice challenge)
{
    dialog_send_line(d, sasl_note_denial(d, d->upstream_mechanism, challenge),
                     S(""));
    return ASK_INPUT;
}

enum ask
imap_login_go_on(struct dialog *d, struct slice challenge)
{
    switch (d->upstream_state) {
    case STATE_USER:
        dialog_put_upstream(d, d->login.user);
        return put_password(d);
    case STATE_PASSWORD:
        dialog_send_line(d, d->login.password.bytes, S(""));
        break;
    case STATE_RESPONSE:
        dialog_send_line(d, response_of(d, d->upstream_mechanism), S(""));
        break;
    case STATE_CHALLENGE:
        return answer_challenge(d, challenge);
    default:
        if (d->upstream_state == STATE_ANSWER &&
            mechanism_has_token(d->upstream_mechanism))
            return answer_denial(d, challenge);
        /* Some servers say "+" to a literal that did not wait for it. */
        if (d->upstream_state == STATE_ANSWER &&
            (d->upstream_offers & OFFERS_LITERAL) != 0)
            return ASK_INPUT;
        return close_for(d, FAULT_GARBAGE);
    }
    d->upstream_state = STATE_ANSWER;
    return ASK_INPUT;
}
