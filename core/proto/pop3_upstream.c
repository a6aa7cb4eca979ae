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
    WAITING_USER,
    WAITING_PASS,
    WAITING_PROMPT, /* "+" after AUTH PLAIN, then the response goes out */
    WAITING_AUTH,
};

/* dialog->upstream_offers */
enum { PASS_IS_SENT = 1 };

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

static enum ask
send_auth_plain(struct dialog *d)
{
    struct slice response = sasl_encode_plain(d);

    dialog_put_upstream(d, S("AUTH PLAIN"));
    d->upstream_state = WAITING_PROMPT;
    if (response.len + sizeof "AUTH PLAIN \r\n" - 1 <= LINE_MAX_RFC) {
        dialog_put_upstream(d, S(" "));
        dialog_put_upstream(d, response);
        d->upstream_state = WAITING_AUTH;
    }
    dialog_put_upstream(d, S("\r\n"));
    return ASK_INPUT;
}

static void
send_pass(struct dialog *d)
{
    dialog_put_upstream(d, S("PASS "));
    dialog_put_upstream(d, d->login.password.bytes);
    dialog_put_upstream(d, S("\r\n"));
}

static enum ask
send_login(struct dialog *d)
{
    const struct login *login = &d->login;
    const struct capabilities *learnt = d->learnt;

    if (login->authzid.len > 0 || login->mechanism == MECHANISM_PLAIN)
        return send_auth_plain(d);

    dialog_put_upstream(d, S("USER "));
    dialog_put_upstream(d, login->user);
    dialog_put_upstream(d, S("\r\n"));
    d->upstream_state = WAITING_USER;
    if (learnt != NULL && learnt->known &&
        offer_has((struct slice){learnt->text, learnt->len}, S("PIPELINING"))) {
        send_pass(d);
        d->upstream_offers |= PASS_IS_SENT;
    }
    return ASK_INPUT;
}

/* Whether dialog->login can be told in this protocol at all. */
static bool
login_is_possible(const struct dialog *d)
{
    const struct login *login = &d->login;

    return !login->none && login->user.len > 0 && login_has_password(d) &&
           (login->mechanism == MECHANISM_NONE ||
            login->mechanism == MECHANISM_PLAIN ||
            login->mechanism == MECHANISM_LOGIN);
}

/* Whether CAPA tells anything that clients will be told. */
static bool
wants_list(const struct dialog *d)
{
    if (d->probing)
        return true;
    return d->learnt != NULL && !d->learnt->known &&
           d->settings->capabilities.ptr == NULL;
}

enum ask
pop3_on_upstream_secured(struct dialog *d)
{
    if (!wants_list(d))
        return send_login(d);
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
    if (!d->upstream_starttls)
        return pop3_on_upstream_secured(d);
    dialog_put_upstream(d, S("STLS\r\n"));
    d->upstream_state = WAITING_STLS;
    return ASK_INPUT;
}

static enum ask
on_capabilities(struct dialog *d, struct slice reply)
{
    struct slice first = line_text(slice_cut(&reply, '\n'));

    if (!is_status(first, S("+OK")) && !is_status(first, S("-ERR")))
        return close_for(d, FAULT_GARBAGE);
    if (is_status(first, S("+OK")))
        dialog_learn(d, offer_filter(d, reply, S("STLS\nSASL\n.")));
    if (!d->probing)
        return send_login(d);
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
send_response(struct dialog *d)
{
    dialog_put_upstream(d, sasl_encode_plain(d));
    dialog_put_upstream(d, S("\r\n"));
    d->upstream_state = WAITING_AUTH;
    return ASK_INPUT;
}

static enum ask
on_login_reply(struct dialog *d, struct slice reply)
{
    struct slice line = line_text(reply);

    if (is_status(line, S("-ERR")))
        return refuse(d, reason_of(line), line);
    if (d->upstream_state == WAITING_PROMPT && is_prompt(line))
        return send_response(d);
    if (!is_status(line, S("+OK")) || d->upstream_state == WAITING_PROMPT)
        return close_for(d, FAULT_GARBAGE);
    if (d->upstream_state == WAITING_USER) {
        if ((d->upstream_offers & PASS_IS_SENT) == 0)
            send_pass(d);
        d->upstream_state = WAITING_PASS;
        return ASK_INPUT;
    }
    dialog_put_client(d, line);
    dialog_put_client(d, S("\r\n"));
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
    case WAITING_USER:
    case WAITING_PASS:
    case WAITING_PROMPT:
    case WAITING_AUTH:
        return on_login_reply(d, reply);
    }
    unreachable();
}
