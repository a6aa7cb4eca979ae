#include "proto/imap_upstream.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/imap_capabilities.h"
#include "proto/imap_frame.h"
#include "proto/imap_id.h"
#include "proto/imap_login.h"
#include "proto/imap_reply.h"
#include "proto/line.h"

static const struct {
    const char *code;
    enum reason reason;
} reasons[] = {
    {"AUTHENTICATIONFAILED", REASON_BAD_CREDENTIALS},
    {"AUTHORIZATIONFAILED", REASON_NOT_ALLOWED},
    {"CONTACTADMIN", REASON_NOT_ALLOWED},
    {"NOPERM", REASON_NOT_ALLOWED},
    {"EXPIRED", REASON_EXPIRED},
    {"LIMIT", REASON_LIMIT},
    {"THROTTLED", REASON_LIMIT},
    {"UNAVAILABLE", REASON_UNAVAILABLE},
    {"INUSE", REASON_UNAVAILABLE},
    {"REFERRAL", REASON_UNAVAILABLE},
    {"SERVERBUG", REASON_SERVER_BUG},
    {"CLIENTBUG", REASON_SERVER_BUG},
    {"CANNOT", REASON_SERVER_BUG},
    /* It is the gateway that is not on TLS there. */
    {"PRIVACYREQUIRED", REASON_SERVER_BUG},
};

enum parse
imap_upstream_frame(struct dialog *d, struct slice in, struct slice *reply)
{
    return imap_frame_reply(&d->reply_framer, in, d->settings->reply_max,
                            reply);
}

/* The tag of our own CAPABILITY, never that of the login. */
static struct slice
own_tag(const struct dialog *d)
{
    return slice_equal_nocase(imap_login_tag(d), S("C")) ? S("D") : S("C");
}

static enum ask
close_for(struct dialog *d, enum fault fault)
{
    d->fault = fault;
    return ASK_CLOSE;
}

/* What the upstream said, for the log and for hooks. */
static void
keep_reply(struct dialog *d, struct slice text, enum reason reason)
{
    d->reply.reason = reason;
    d->reply.text = line_keep_text(d, text);
}

static enum reason
reason_of_code(struct slice code)
{
    struct slice name = slice_cut(&code, ' ');

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (slice_spells(name, reasons[i].code))
            return reasons[i].reason;
    }
    return REASON_BAD_CREDENTIALS;
}

/* Last words.  Whatever they are, they are not about a password. */
static enum ask
take_bye(struct dialog *d, struct slice line, struct slice code,
         enum fault fault)
{
    enum reason reason = reason_of_code(code);

    if (reason == REASON_BAD_CREDENTIALS || reason == REASON_EXPIRED)
        reason = REASON_UNAVAILABLE;
    keep_reply(d, slice_drop(line, 2), reason);
    return close_for(d, d->fault == FAULT_RESOURCES ? d->fault : fault);
}

/* The list in "CAPABILITY IMAP4rev1 ...", a code or untagged data. */
static bool
note_list(struct dialog *d, struct slice list, unsigned bits)
{
    if (list.len == 0 || has_control(list))
        return false;
    d->upstream_capabilities = dialog_keep(d, list);
    d->upstream_offers |= bits;
    return true;
}

static bool
note_code(struct dialog *d, struct slice code, unsigned bits)
{
    struct slice name = slice_cut(&code, ' ');
    return slice_equal_nocase(name, S("CAPABILITY")) &&
           note_list(d, code, bits);
}

static bool
note_untagged(struct dialog *d, const struct imap_reply *r, unsigned bits)
{
    return slice_equal_nocase(r->word, S("CAPABILITY")) &&
           note_list(d, r->rest, bits);
}

static void
ask_capability(struct dialog *d, enum imap_state state)
{
    dialog_put_upstream(d, own_tag(d));
    dialog_put_upstream(d, S(" CAPABILITY\r\n"));
    d->upstream_state = state;
}

/* All that can be known before the login is known. */
static enum ask
login(struct dialog *d)
{
    /* The list after a login says more than the one before. */
    bool is_news = d->learnt == NULL || !d->learnt->known;

    if (is_news && (d->upstream_offers & OFFERS_KNOWN) != 0)
        imap_learn(d, d->upstream_capabilities);
    if (!d->probing) {
        if (d->forward != FORWARD_OFF &&
            imap_id_tell(
                d, imap_has_capability(d->upstream_capabilities, S("ID"))))
            d->upstream_offers |= OFFERS_ID_SENT;
        return imap_login_start(d);
    }
    dialog_put_upstream(d, S("L LOGOUT\r\n"));
    return close_for(d, FAULT_QUIT);
}

static enum ask
ask_starttls(struct dialog *d, const struct imap_reply *r)
{
    if (note_code(d, r->code, 0) &&
        !imap_has_capability(d->upstream_capabilities, S("STARTTLS")))
        return close_for(d, FAULT_NO_STARTTLS);
    dialog_put_upstream(d, own_tag(d));
    dialog_put_upstream(d, S(" STARTTLS\r\n"));
    d->upstream_state = STATE_STARTTLS;
    return ASK_INPUT;
}

static enum ask
on_starttls(struct dialog *d, const struct imap_reply *r)
{
    if (r->kind == IMAP_UNTAGGED && !slice_equal_nocase(r->word, S("BYE")))
        return ASK_INPUT;
    if (r->kind == IMAP_TAGGED && slice_equal(r->tag, own_tag(d)) &&
        slice_equal_nocase(r->word, S("OK")))
        return ASK_STARTTLS;
    return close_for(d, FAULT_NO_STARTTLS);
}

enum ask
imap_upstream_on_secured(struct dialog *d)
{
    d->upstream_offers = 0;
    d->upstream_capabilities = S("");
    ask_capability(d, STATE_CAPABILITY);
    return ASK_INPUT;
}

static enum ask take_success(struct dialog *d);

/* The connection itself is the login: only where a policy says so. */
static enum ask
on_preauth(struct dialog *d, const struct imap_reply *r)
{
    if (!d->login.none || d->probing || d->upstream_starttls)
        return close_for(d, FAULT_PREAUTH);
    (void)note_code(d, r->code, OFFERS_NEW_LIST);
    d->reply.text = S("L OK Logged in");
    return take_success(d);
}

static enum ask
on_greeting(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    const struct login *given = &d->login;

    if (r->kind != IMAP_UNTAGGED)
        return close_for(d, FAULT_GARBAGE);
    if (slice_equal_nocase(r->word, S("BYE")))
        return take_bye(d, line, r->code, FAULT_GREETING);
    if (slice_equal_nocase(r->word, S("PREAUTH")))
        return on_preauth(d, r);
    if (!slice_equal_nocase(r->word, S("OK")))
        return close_for(d, FAULT_GARBAGE);
    if (has_control(given->user) || has_control(given->authzid) ||
        has_control(given->password.bytes)) {
        d->reply.reason = REASON_BAD_CREDENTIALS;
        return ASK_REFUSE;
    }
    if (d->upstream_starttls)
        return ask_starttls(d, r);
    if (note_code(d, r->code, OFFERS_KNOWN) || !d->settings->pass_capabilities)
        return login(d);
    ask_capability(d, STATE_CAPABILITY);
    return ASK_INPUT;
}

static enum ask
on_capability(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    if (r->kind == IMAP_UNTAGGED) {
        if (slice_equal_nocase(r->word, S("BYE")))
            return take_bye(d, line, r->code, FAULT_BYE);
        (void)note_untagged(d, r, OFFERS_KNOWN);
        return ASK_INPUT;
    }
    if (r->kind != IMAP_TAGGED || !slice_equal(r->tag, own_tag(d)))
        return close_for(d, FAULT_GARBAGE);
    /* NO and BAD: then without knowing, as in the days before. */
    return login(d);
}

static void
hold(struct dialog *d, struct slice line)
{
    dialog_begin_attempt(d);
    struct held *held = arena_alloc(d->arena, sizeof *held);
    if (held == NULL) {
        d->fault = FAULT_RESOURCES;
        return;
    }
    held->line = dialog_keep(d, line);
    held->next = d->upstream_held;
    d->upstream_held = held;
}

static void
tell_held(struct dialog *d)
{
    struct held *oldest = NULL;

    while (d->upstream_held != NULL) {
        struct held *held = d->upstream_held;
        d->upstream_held = held->next;
        held->next = oldest;
        oldest = held;
    }
    for (; oldest != NULL; oldest = oldest->next)
        dialog_say_line(d, oldest->line, S(""));
}

static void
tell_list(struct dialog *d, const char *before, const char *after)
{
    dialog_put_client(d, slice_of(before));
    dialog_put_client(d, d->upstream_capabilities);
    dialog_put_client(d, slice_of(after));
}

/* The client hears of the success.  It may hold the list it was given before
 * the login for true; what it will believe instead depends on where it looks:
 * one that asked by itself ignores the code in the tagged OK, so it gets an
 * untagged list; any other expects the code. */
static enum ask
succeed(struct dialog *d)
{
    unsigned offers = d->upstream_offers;
    struct imap_reply answer;

    imap_reply_parse(d->reply.text, &answer);
    tell_held(d);
    bool reconcile =
        d->settings->pass_capabilities && (offers & OFFERS_NEW_LIST) != 0;
    bool in_answer = (offers & OFFERS_IN_ANSWER) != 0;
    bool as_code = !d->asked_capabilities && answer.code.len == 0;
    if (reconcile && !as_code && (d->asked_capabilities || !in_answer))
        tell_list(d, "* CAPABILITY ", "\r\n");

    dialog_put_client(d, imap_login_tag(d));
    dialog_put_client(d, S(" OK "));
    if (reconcile && as_code)
        tell_list(d, "[CAPABILITY ", "] ");
    if (answer.code.len > 0) {
        dialog_put_client(d, S("["));
        dialog_put_client(d, answer.code);
        dialog_put_client(d, S("] "));
    }
    dialog_say_line(d, answer.rest.len > 0 ? answer.rest : S("completed"),
                    S(""));
    if ((offers & OFFERS_NEW_LIST) != 0)
        imap_learn(d, d->upstream_capabilities);
    d->reply = (struct reply){0};
    return ASK_SPLICE;
}

static enum ask
take_success(struct dialog *d)
{
    if (!d->settings->pass_capabilities ||
        (d->upstream_offers & OFFERS_NEW_LIST) != 0)
        return succeed(d);
    ask_capability(d, STATE_AFTERWARDS);
    return ASK_INPUT;
}

static enum ask
on_success(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    d->reply.text = dialog_keep(d, line);
    (void)note_code(d, r->code, OFFERS_NEW_LIST | OFFERS_IN_ANSWER);
    return take_success(d);
}

static enum ask
on_refusal(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    enum reason reason = reason_of_code(r->code);

    /* BAD, or a NO before the password was sent, is a quarrel about the
     * protocol and no judgement of the credentials. */
    if (reason == REASON_BAD_CREDENTIALS &&
        (d->upstream_state != STATE_ANSWER ||
         slice_equal_nocase(r->word, S("BAD"))))
        reason = REASON_UNAVAILABLE;
    keep_reply(d, slice_drop(line, r->tag.len + 1), reason);
    return ASK_REFUSE;
}

/* Untagged data between the login and its answer. */
static enum ask
on_data(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    if (slice_equal_nocase(r->word, S("BYE")))
        return take_bye(d, line, r->code, FAULT_BYE);
    if (slice_equal_nocase(r->word, S("PREAUTH")))
        return close_for(d, FAULT_GARBAGE);
    if (slice_equal_nocase(r->word, S("ID"))) /* an answer to ours */
        return ASK_INPUT;
    /* With reconciliation the list is told by `succeed`. */
    if (!note_untagged(d, r, OFFERS_NEW_LIST) ||
        !d->settings->pass_capabilities)
        hold(d, line);
    return ASK_INPUT;
}

static bool
is_answer_to_id(const struct dialog *d, const struct imap_reply *r)
{
    return (d->upstream_offers & OFFERS_ID_SENT) != 0 &&
           r->kind == IMAP_TAGGED && slice_equal(r->tag, imap_id_tag(d));
}

static enum ask
on_login(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    if (r->kind == IMAP_UNTAGGED)
        return on_data(d, r, line);
    if (r->kind == IMAP_CONTINUE)
        return imap_login_go_on(d, r->rest);
    /* Whatever the upstream thinks of our ID, it may still take the login. */
    if (is_answer_to_id(d, r)) {
        d->upstream_offers &= ~(unsigned)OFFERS_ID_SENT;
        return ASK_INPUT;
    }
    if (r->kind != IMAP_TAGGED || !slice_equal(r->tag, imap_login_tag(d)))
        return close_for(d, FAULT_GARBAGE);
    if (slice_equal_nocase(r->word, S("NO")) ||
        slice_equal_nocase(r->word, S("BAD")))
        return on_refusal(d, r, line);
    if (!slice_equal_nocase(r->word, S("OK")) ||
        d->upstream_state != STATE_ANSWER ||
        (d->upstream_offers & OFFERS_ID_SENT) != 0)
        return close_for(d, FAULT_GARBAGE);
    return on_success(d, r, line);
}

static enum ask
on_afterwards(struct dialog *d, const struct imap_reply *r, struct slice line)
{
    if (r->kind == IMAP_UNTAGGED)
        return on_data(d, r, line);
    if (r->kind != IMAP_TAGGED || !slice_equal(r->tag, own_tag(d)))
        return close_for(d, FAULT_GARBAGE);
    return succeed(d);
}

enum ask
imap_upstream_on_reply(struct dialog *d, struct slice reply)
{
    struct imap_reply r;
    struct slice line = line_text(reply);

    imap_reply_parse(line, &r);
    if (r.kind == IMAP_GARBAGE)
        return close_for(d, FAULT_GARBAGE);
    if (d->upstream_state == STATE_GREETING)
        return on_greeting(d, &r, line);
    if (d->upstream_state == STATE_STARTTLS)
        return on_starttls(d, &r);
    if (d->upstream_state == STATE_CAPABILITY)
        return on_capability(d, &r, line);
    if (d->upstream_state == STATE_AFTERWARDS)
        return on_afterwards(d, &r, line);
    return on_login(d, &r, line);
}
