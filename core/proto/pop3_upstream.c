#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/offer.h"
#include "proto/pop3.h"
#include "proto/sasl_upstream.h"

#define LINE_MAX_RFC 255 /* of a command with its CRLF, RFC 2449 4 */

/* dialog->upstream_state: what the next reply answers. */
enum pop3_waiting {
    WAITING_GREETING,
    WAITING_STLS,
    WAITING_CAPA,
    WAITING_XCLIENT, /* or XOIP */
    WAITING_USER,
    WAITING_PASS,
    WAITING_PROMPT, /* "+" after AUTH, then the response goes out */
    WAITING_AUTH,
};

/* dialog->upstream_offers */
enum {
    PASS_IS_SENT = 1,
    XCLIENT_OFFERED = 2,
    LIST_KNOWN = 8,
    IDENTITY_MUST = 4, /* a "no" to who the client is ends the login */
};

/* Whether `line` is the status indicator `word`, alone or with a text. */
static bool
is_status(struct slice line, struct slice word)
{
    return slice_has_prefix(line, word) &&
           (line.len == word.len || line.ptr[word.len] == ' ');
}

/* Several lines up to ".": only an accepted CAPA is answered so. */
static enum parse
frame_list(struct dialog *d, struct slice in, struct slice *reply)
{
    size_t max = d->settings->reply_max;
    size_t *seen = &d->reply_framer.seen;

    for (;;) {
        struct slice rest = slice_drop(in, *seen);
        size_t at = slice_find(rest, '\n');
        if (at == rest.len)
            return in.len < max ? PARSE_MORE : PARSE_BAD;
        if (*seen + at + 1 > max)
            return PARSE_BAD;

        struct slice line = line_text(slice_take(rest, at + 1));
        bool is_first = *seen == 0;
        *seen += at + 1;
        if (slice_equal(line, S(".")) ||
            (is_first && !is_status(line, S("+OK")))) {
            *reply = slice_take(in, *seen);
            *seen = 0;
            return PARSE_DONE;
        }
    }
}

enum parse
pop3_frame_reply(struct dialog *d, struct slice in, struct slice *reply)
{
    if (d->upstream_state == WAITING_CAPA)
        return frame_list(d, in, reply);
    return line_frame(&d->reply_framer, in, d->settings->reply_max, reply);
}

static enum ask
close_for(struct dialog *d, enum fault fault)
{
    d->fault = fault;
    return ASK_CLOSE;
}

/* RFC 2449 8 and RFC 3206: "-ERR [SYS/TEMP] text".  Without a code it is a
 * wrong password, which most servers do not mark. */
static enum reason
reason_of(struct slice line)
{
    static const struct {
        const char *code;
        enum reason reason;
    } codes[] = {
        {"-ERR [SYS/TEMP]", REASON_UNAVAILABLE},
        {"-ERR [SYS/PERM]", REASON_SERVER_BUG},
        {"-ERR [IN-USE]", REASON_LIMIT},
        {"-ERR [LOGIN-DELAY]", REASON_LIMIT},
        {"-ERR [LIMIT]", REASON_LIMIT},
        {"-ERR [UNAVAILABLE]", REASON_UNAVAILABLE},
        {"-ERR [EXPIRED]", REASON_EXPIRED},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (slice_has_prefix_nocase(line, slice_of(codes[i].code)))
            return codes[i].reason;
    }
    return REASON_BAD_CREDENTIALS;
}

static enum ask
refuse(struct dialog *d, enum reason reason, struct slice line)
{
    d->reply.reason = reason;
    d->reply.text = line_keep_text(d, line);
    return ASK_REFUSE;
}

/* What AUTH says once the upstream is ready for it. */
static struct slice
response_of(struct dialog *d)
{
    enum mechanism m = d->upstream_mechanism;

    if (mechanism_has_token(m))
        return sasl_encode_token(d, m);
    return m == MECHANISM_EXTERNAL ? sasl_encode_external(d)
                                   : sasl_encode_plain(d);
}

/* PLAIN, or what else is wanted. */
static enum ask
send_auth(struct dialog *d, enum mechanism m)
{
    if (m != MECHANISM_CRAM_MD5 && m != MECHANISM_EXTERNAL &&
        !mechanism_has_token(m))
        m = MECHANISM_PLAIN;
    d->upstream_mechanism = m;
    bool speaks_first = m != MECHANISM_CRAM_MD5;
    struct slice response = speaks_first ? response_of(d) : S("");

    dialog_put_upstream(d, S("AUTH "));
    dialog_put_upstream(d, slice_of(mechanism_name(m)));
    d->upstream_state = WAITING_PROMPT;
    if (speaks_first && response.len + 16 <= LINE_MAX_RFC) {
        dialog_put_upstream(d, S(" "));
        dialog_put_upstream(d, response.len > 0 ? response : S("="));
        d->upstream_state = WAITING_AUTH;
    }
    dialog_put_upstream(d, S("\r\n"));
    return ASK_INPUT;
}

static void
send_pass(struct dialog *d)
{
    dialog_send_line(d, S("PASS "), d->login.password.bytes);
}

/* Whether dialog->login can be told in this protocol at all. */
static bool
login_is_possible(const struct dialog *d)
{
    const struct login *login = &d->login;

    if (login->none || !login_has_password(d))
        return false;
    switch (login->mechanism) {
    case MECHANISM_NONE:
    case MECHANISM_PLAIN:
        return login->user.len > 0;
    case MECHANISM_OAUTHBEARER:
    case MECHANISM_XOAUTH2:
        return login->user.len > 0 && login->token;
    case MECHANISM_LOGIN: /* USER and PASS */
    case MECHANISM_CRAM_MD5:
        return login->user.len > 0 && login->authzid.len == 0;
    case MECHANISM_EXTERNAL:
        return true;
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

static enum ask
send_login(struct dialog *d)
{
    const struct login *login = &d->login;
    const struct capabilities *learnt = d->learnt;

    if (login_tells_token(d)) {
        enum mechanism m = sasl_token_mechanism(
            d, d->upstream_mechanisms, (d->upstream_offers & LIST_KNOWN) != 0);
        return m != MECHANISM_NONE ? send_auth(d, m)
                                   : close_for(d, FAULT_NO_LOGIN);
    }
    if (login->authzid.len > 0 || (login->mechanism != MECHANISM_NONE &&
                                   login->mechanism != MECHANISM_LOGIN))
        return send_auth(d, login->mechanism);

    dialog_send_line(d, S("USER "), login->user);
    d->upstream_state = WAITING_USER;
    if (learnt != NULL && learnt->known &&
        offer_has((struct slice){learnt->text, learnt->len}, S("PIPELINING"))) {
        send_pass(d);
        d->upstream_offers |= PASS_IS_SENT;
    }
    return ASK_INPUT;
}

/* Whether CAPA tells how to log in, or anything that clients will be told. */
static bool
wants_list(const struct dialog *d)
{
    if (d->probing || d->login.token)
        return true;
    return d->learnt != NULL && !d->learnt->known &&
           d->settings->capabilities.ptr == NULL;
}

/* Who the client is, then the login. */
static enum ask
introduce(struct dialog *d)
{
    bool offered = (d->upstream_offers & XCLIENT_OFFERED) != 0;

    d->upstream_state = WAITING_XCLIENT;
    if (pop3_xoip_tell(d))
        return ASK_INPUT;
    if (!pop3_xclient_tell(d, offered))
        return send_login(d);
    if (offered)
        d->upstream_offers |= IDENTITY_MUST;
    return ASK_INPUT;
}

/* One that never asked may not know what it was told. */
static enum ask
on_introduced(struct dialog *d, struct slice line)
{
    bool fine = is_status(line, S("+OK"));

    if (!fine && !is_status(line, S("-ERR")))
        return close_for(d, FAULT_GARBAGE);
    if (!fine && (d->upstream_offers & IDENTITY_MUST) != 0)
        return refuse(d, REASON_SERVER_BUG, line);
    return send_login(d);
}

enum ask
pop3_on_upstream_secured(struct dialog *d)
{
    if (!wants_list(d))
        return introduce(d);
    dialog_put_upstream(d, S("CAPA\r\n"));
    d->upstream_state = WAITING_CAPA;
    return ASK_INPUT;
}

static enum ask
on_stls(struct dialog *d, struct slice line)
{
    return is_status(line, S("+OK")) ? ASK_STARTTLS
                                     : close_for(d, FAULT_NO_STARTTLS);
}

static enum ask
on_greeting(struct dialog *d, struct slice line)
{
    if (is_status(line, S("-ERR"))) {
        d->reply.text = line_keep_text(d, line);
        return close_for(d, FAULT_GREETING);
    }
    if (!is_status(line, S("+OK")))
        return close_for(d, FAULT_GARBAGE);
    if (!d->probing && !login_is_possible(d))
        return close_for(d, FAULT_NO_LOGIN);
    if (!login_is_sane(d))
        return refuse(d, REASON_SERVER_BUG, S("-ERR control character"));
    if (pop3_is_xclient_offered(line))
        d->upstream_offers |= XCLIENT_OFFERED;
    if (!d->upstream_starttls)
        return pop3_on_upstream_secured(d);
    dialog_put_upstream(d, S("STLS\r\n"));
    d->upstream_state = WAITING_STLS;
    return ASK_INPUT;
}

/* "SASL PLAIN XOAUTH2" */
static void
learn_mechanisms(struct dialog *d, struct slice list)
{
    struct slice line;
    enum mechanism m;

    while (offer_next(&list, &line)) {
        if (!slice_equal_nocase(slice_cut(&line, ' '), S("SASL")))
            continue;
        while (line.len > 0) {
            struct slice name = slice_cut(&line, ' ');
            if (mechanism_find(name, &m) && mechanism_has_token(m))
                d->upstream_mechanisms |= MECHANISM_BIT(m);
        }
    }
}

static enum ask
on_capabilities(struct dialog *d, struct slice reply)
{
    static const char *const dropped[] = {"STLS", "SASL", ".", NULL};
    struct slice first = line_text(slice_cut(&reply, '\n'));

    if (!is_status(first, S("+OK")) && !is_status(first, S("-ERR")))
        return close_for(d, FAULT_GARBAGE);
    if (is_status(first, S("+OK"))) {
        d->upstream_offers |= LIST_KNOWN;
        learn_mechanisms(d, reply);
        struct slice list = offer_filter(d, reply, dropped);
        if (d->fault != FAULT_RESOURCES)
            (void)capabilities_learn(d->learnt, reply, list);
    }
    if (!d->probing)
        return introduce(d);
    dialog_put_upstream(d, S("QUIT\r\n"));
    return close_for(d, FAULT_QUIT);
}

/* The "+" of AUTH; some servers leave out the space behind it. */
static bool
is_prompt(struct slice line)
{
    return slice_equal(line, S("+")) || slice_has_prefix(line, S("+ "));
}

static enum ask
send_response(struct dialog *d, struct slice challenge)
{
    bool cram = d->upstream_mechanism == MECHANISM_CRAM_MD5;
    struct slice response =
        cram ? sasl_encode_cram_md5(d, challenge) : response_of(d);

    if (cram && response.len == 0)
        return close_for(d, FAULT_GARBAGE);
    dialog_send_line(d, response, S(""));
    d->upstream_state = WAITING_AUTH;
    return ASK_INPUT;
}

/* The token is refused: "-ERR" comes once this is answered. */
static enum ask
answer_denial(struct dialog *d, struct slice challenge)
{
    dialog_send_line(d, sasl_note_denial(d, d->upstream_mechanism, challenge),
                     S(""));
    return ASK_INPUT;
}

static enum ask
on_login_reply(struct dialog *d, struct slice reply)
{
    struct slice line = line_text(reply);

    if (is_status(line, S("-ERR")))
        return refuse(d, reason_of(line), line);
    if (d->upstream_state == WAITING_PROMPT && is_prompt(line))
        return send_response(d, slice_drop(line, 2));
    if (d->upstream_state == WAITING_AUTH && is_prompt(line) &&
        mechanism_has_token(d->upstream_mechanism))
        return answer_denial(d, slice_drop(line, 2));
    if (!is_status(line, S("+OK")) || d->upstream_state == WAITING_PROMPT)
        return close_for(d, FAULT_GARBAGE);
    if (d->upstream_state == WAITING_USER) {
        if ((d->upstream_offers & PASS_IS_SENT) == 0)
            send_pass(d);
        d->upstream_state = WAITING_PASS;
        return ASK_INPUT;
    }
    dialog_say_line(d, line, S(""));
    return ASK_SPLICE;
}

enum ask
pop3_on_reply(struct dialog *d, struct slice reply)
{
    switch ((enum pop3_waiting)d->upstream_state) {
    case WAITING_GREETING:
        return on_greeting(d, line_text(reply));
    case WAITING_STLS:
        return on_stls(d, line_text(reply));
    case WAITING_CAPA:
        return on_capabilities(d, reply);
    case WAITING_XCLIENT:
        return on_introduced(d, line_text(reply));
    case WAITING_USER:
    case WAITING_PASS:
    case WAITING_PROMPT:
    case WAITING_AUTH:
        return on_login_reply(d, reply);
    }
    unreachable();
}
