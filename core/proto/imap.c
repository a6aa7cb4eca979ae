/* imap.c -- IMAP towards the client, until it is logged in (RFC 9051). */
#include "base/slice.h"
#include "proto/abuse.h"
#include "proto/dialog.h"
#include "proto/imap_args.h"
#include "proto/imap_capabilities.h"
#include "proto/imap_frame.h"
#include "proto/imap_id.h"
#include "proto/imap_upstream.h"
#include "proto/line.h"
#include "proto/protocols.h"

/* What LITERAL- allows to be sent unasked (RFC 7888 5). */
#define UNASKED_MAX 4096

#define ID_KEPT_MAX 8192

struct command {
    const char *name;
    enum ask (*run)(struct dialog *d, struct slice args);
};

static enum parse
frame_command(struct dialog *d, struct slice in, struct slice *command)
{
    const struct proto_settings *settings = d->settings;

    if (d->sasl.active)
        return sasl_line_frame(d, in, command);

    struct slice untagged = slice_drop(in, slice_find(in, ' ') + 1);
    struct imap_limits limits = {
        .command = sasl_line_max(d, untagged),
        .literal = settings->literal_max,
        .unasked = settings->literal_max < UNASKED_MAX ? settings->literal_max
                                                       : UNASKED_MAX,
    };
    /* Nobody is asked for a password that must not cross the wire so. */
    if (settings->tls_required && !d->secure)
        limits.literal = 0;
    return imap_frame(&d->command_framer, in, &limits, command);
}

static enum ask
answer_ok(struct dialog *d)
{
    dialog_say_line(d, d->tag, S(" OK completed"));
    return ASK_INPUT;
}

/* A tag that is none is never echoed: to a browser that was tricked into
 * talking to us, what comes back would be a web page of its attacker. */
static enum ask
answer_bad(struct dialog *d, const char *text)
{
    d->errors++;
    if (d->tag.len > 0)
        dialog_put_client(d, d->tag);
    else
        dialog_put_client(d, S("*"));
    dialog_tell_client(d, " BAD %s\r\n", text);
    return ASK_INPUT;
}

/* Forgets what was kept of a login that turned out to be none. */
static enum ask
drop_attempt(struct dialog *d, const char *text)
{
    dialog_forget(d);
    return answer_bad(d, text);
}

static enum ask
run_capability(struct dialog *d, struct slice args)
{
    (void)args;
    /* After STARTTLS everybody must ask again, which tells nothing about
     * whether this client will read the list in the tagged OK. */
    if (!d->settings->starttls || !d->secure)
        d->asked_capabilities = true;
    dialog_put_client(d, S("* CAPABILITY "));
    imap_tell_capabilities(d);
    dialog_put_client(d, S("\r\n"));
    return answer_ok(d);
}

static enum ask
run_noop(struct dialog *d, struct slice args)
{
    (void)args;
    return answer_ok(d);
}

static enum ask
run_logout(struct dialog *d, struct slice args)
{
    (void)args;
    dialog_put_client(d, S("* BYE\r\n"));
    (void)answer_ok(d);
    d->fault = FAULT_QUIT;
    return ASK_CLOSE;
}

static enum ask
run_id(struct dialog *d, struct slice args)
{
    struct slice list;
    char text[ID_KEPT_MAX];
    size_t len = 0;

    if (!imap_id_list(d, args, &list) ||
        (d->peer_trusted && list.len > sizeof text))
        return drop_attempt(d, "invalid command");
    if (list.len <= sizeof text) {
        len = list.len;
        if (len > 0)
            memcpy(text, list.ptr, len);
    }
    /* The parser's pieces go, the list stays: only the first one, so that
     * the arena can't be filled with them. */
    dialog_forget(d);
    bool told = imap_id_take(d, (struct slice){text, len});
    dialog_put_client(d, S("* ID NIL\r\n"));
    return told ? ASK_IDENTITY : answer_ok(d);
}

static enum ask
run_starttls(struct dialog *d, struct slice args)
{
    if (!d->settings->starttls || d->secure || args.len > 0)
        return answer_bad(d, "invalid command");
    (void)answer_ok(d);
    return ASK_STARTTLS;
}

/* Says no before anybody is asked, where credentials must not be in clear. */
static bool
refuse_cleartext(struct dialog *d)
{
    struct refusal no = {.reason = REASON_TLS_REQUIRED, .stage = STAGE_LOGIN};

    if (!d->settings->tls_required || d->secure)
        return false;
    if (d->settings->as_nginx) {
        (void)answer_bad(d, "invalid command");
        return true;
    }
    struct slice code = refusal_imap_code(&no);
    struct slice text = refusal_text(&no);
    d->errors++;
    dialog_tell_client(d, "%.*s NO %.*s %.*s\r\n", (int)d->tag.len, d->tag.ptr,
                       (int)code.len, code.ptr, (int)text.len, text.ptr);
    return true;
}

static enum ask
run_login(struct dialog *d, struct slice args)
{
    struct slice user, password;

    if (refuse_cleartext(d))
        return ASK_INPUT;
    if (!dialog_takes_passwords(d))
        return answer_bad(d, "invalid command");
    if (!imap_astring(d, &args, &user) || !imap_astring(d, &args, &password) ||
        args.len > 0)
        return drop_attempt(d, "invalid command");
    if (user.len == 0 || !credential_is_sane(user) ||
        !credential_is_sane(password))
        return drop_attempt(d, "invalid command");
    d->credentials = (struct credentials){
        .mechanism = MECHANISM_PLAIN,
        .user = user,
        .password = {password},
    };
    return ASK_AUTH;
}

static enum ask
follow_sasl(struct dialog *d, enum sasl_step step, struct slice challenge)
{
    switch (step) {
    case SASL_CHALLENGE:
        dialog_say_line(d, S("+ "), challenge);
        return ASK_INPUT;
    case SASL_DONE:
        return ASK_AUTH;
    case SASL_VERIFIER:
        return ASK_VERIFIER;
    case SASL_WRONG:
        return ASK_WRONG;
    case SASL_DENIED:
        return ASK_DENIED;
    case SASL_CANCELLED:
    case SASL_BAD:
        break;
    }
    return drop_attempt(d, "invalid command");
}

static enum ask
run_authenticate(struct dialog *d, struct slice args)
{
    struct slice name, challenge;
    struct slice initial = {NULL, 0};
    enum mechanism m;

    if (refuse_cleartext(d))
        return ASK_INPUT;
    if (!imap_word(&args, &name) ||
        (args.len > 0 && !imap_word(&args, &initial)) || args.len > 0)
        return answer_bad(d, "invalid command");
    if (!mechanism_find(name, &m) || !dialog_takes(d, m))
        return answer_bad(d, "invalid command");
    enum sasl_step step = sasl_begin(d, m, initial, &challenge);
    return follow_sasl(d, step, challenge);
}

static const struct command commands[] = {
    {"CAPABILITY", run_capability},
    {"NOOP", run_noop},
    {"LOGOUT", run_logout},
    {"ID", run_id},
    {"STARTTLS", run_starttls},
    {"LOGIN", run_login},
    {"AUTHENTICATE", run_authenticate},
};

static const struct command *
find_command(struct slice name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (slice_spells(name, commands[i].name))
            return &commands[i];
    }
    return NULL;
}

static bool
is_tag(struct slice word)
{
    if (word.len == 0 || word.len >= TAG_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = ascii_lower(word.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
            c != '_' && c != '-')
            return false;
    }
    return true;
}

static enum ask
on_command(struct dialog *d, struct slice command)
{
    struct slice challenge;
    struct slice args = line_text(command);

    if (d->sasl.active) {
        enum sasl_step step = sasl_respond(d, args, &challenge);
        return follow_sasl(d, step, challenge);
    }

    struct slice tag = slice_take(args, slice_find(args, ' '));
    args = slice_drop(args, tag.len + 1);
    struct slice name = slice_take(args, slice_find(args, ' '));
    args = slice_drop(args, name.len);

    /* A method may be a tag ("put NOOP"), but not of something unknown. */
    const struct command *found = find_command(name);
    if (found == NULL && (is_http(tag) || is_http(name)))
        return abuse_close(d);
    bool is_nothing = name.len == 0 && d->settings->as_nginx;
    d->tag = S("");
    if (!is_tag(tag) || is_nothing)
        return answer_bad(d, "invalid command");
    memcpy(d->tag_text, tag.ptr, tag.len);
    d->tag = (struct slice){d->tag_text, tag.len};
    return found != NULL ? found->run(d, args)
                         : answer_bad(d, "invalid command");
}

static void
say_greeting(struct dialog *d)
{
    struct slice text = d->settings->greeting;

    if (text.len == 0)
        text = S("IMAP4 ready");
    dialog_say_line(d, S("* OK "), text);
}

/* `condition` is "NO" with a tag, "BYE" without. */
static void
say_no(struct dialog *d, struct slice tag, const char *condition)
{
    struct slice code = refusal_imap_code(&d->refusal);
    struct slice text = refusal_text(&d->refusal);

    dialog_put_client(d, tag);
    dialog_tell_client(d, " %s ", condition);
    /* A text that brings its own code needs no other. */
    if (code.len > 0 && !d->settings->as_nginx &&
        !slice_has_prefix(text, S("[")))
        dialog_tell_client(d, "%.*s ", (int)code.len, code.ptr);
    dialog_say_line(d, text, S(""));
}

static void
say_refusal(struct dialog *d)
{
    struct slice verbatim = d->refusal.verbatim;

    if (d->refusal.stage != STAGE_LOGIN || d->tag.len == 0) {
        say_no(d, S("*"), "BYE");
        return;
    }
    if (verbatim.len == 0) {
        say_no(d, d->tag, "NO");
        return;
    }
    dialog_put_client(d, d->tag);
    dialog_say_line(d, S(" "), verbatim);
}

static void
say(struct dialog *d, enum say what)
{
    switch (what) {
    case SAY_GREETING:
        say_greeting(d);
        return;
    case SAY_GO_AHEAD:
        dialog_put_client(d, S("+ OK\r\n"));
        return;
    case SAY_PROCEED:
        (void)answer_ok(d);
        return;
    case SAY_CHALLENGE:
        (void)follow_sasl(d, SASL_CHALLENGE, d->sasl.challenge);
        return;
    case SAY_DENIAL:
        (void)follow_sasl(d, SASL_CHALLENGE, sasl_deny(d));
        return;
    case SAY_REFUSAL:
        say_refusal(d);
        return;
    case SAY_FAULT:
        dialog_put_client(d, S("* BAD internal server error\r\n"));
        return;
    case SAY_MALFORMED:
        dialog_put_client(d, S("* BAD invalid command\r\n"));
        if (!d->settings->as_nginx)
            dialog_put_client(d, S("* BYE Command is too long\r\n"));
        return;
    case SAY_BYE:
        say_no(d, S("*"), "BYE");
        return;
    }
}

const struct proto proto_imap = {
    .name = "imap",
    .port = 143,
    .port_tls = 993,
    .frame_command = frame_command,
    .frame_reply = imap_upstream_frame,
    .on_command = on_command,
    .on_reply = imap_upstream_on_reply,
    .on_upstream_secured = imap_upstream_on_secured,
    .say = say,
};
