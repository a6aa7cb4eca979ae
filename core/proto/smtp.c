#include "proto/smtp.h"

#include "base/slice.h"
#include "proto/abuse.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/protocols.h"

/* dialog->client_state: the command that a policy is asked about. */
enum smtp_pending { PENDING_NONE, PENDING_HELO, PENDING_MAIL, PENDING_XCLIENT };

static enum ask
answer(struct dialog *d, struct slice text)
{
    dialog_put_client(d, text);
    return ASK_INPUT;
}

static enum ask
invalid(struct dialog *d)
{
    d->errors++;
    return answer(d, S("500 5.5.1 Invalid command\r\n"));
}

/* No verb of a browser is one of ours. */
static enum ask
unknown(struct dialog *d, struct slice command)
{
    return is_http(command) ? abuse_close(d) : invalid(d);
}

static enum ask
bad_argument(struct dialog *d)
{
    d->errors++;
    return answer(d, S("501 5.5.4 Invalid argument\r\n"));
}

static enum ask
bad_sequence(struct dialog *d)
{
    d->errors++;
    return answer(d, S("503 5.5.1 Bad sequence of commands\r\n"));
}

/* The transaction ends, and with it what the arena holds of it. */
static void
forget_transaction(struct dialog *d)
{
    d->envelope.rcpt = S("");
    dialog_forget(d);
}

static enum ask
take_hello(struct dialog *d, struct slice argument, bool ehlo)
{
    struct envelope *envelope = &d->envelope;

    argument = line_trim_end(argument);
    if (argument.len == 0 || argument.len > HELO_MAX ||
        slice_find(argument, ' ') < argument.len)
        return bad_argument(d);

    forget_transaction(d);
    memcpy(envelope->helo_text, argument.ptr, argument.len);
    envelope->helo = (struct slice){envelope->helo_text, argument.len};
    envelope->ehlo = ehlo;
    envelope->greeted = true;
    if (d->settings->ask_helo) {
        d->client_state = PENDING_HELO;
        return ASK_HELO;
    }
    smtp_say_hello(d);
    return ASK_INPUT;
}

static enum ask
on_ehlo(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    return take_hello(d, argument, true);
}

static enum ask
on_helo(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    return take_hello(d, argument, false);
}

static enum ask
take_sasl(struct dialog *d, enum sasl_step step, struct slice challenge)
{
    switch (step) {
    case SASL_CHALLENGE:
        dialog_say_line(d, S("334 "), challenge);
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
        forget_transaction(d);
        return invalid(d);
    }
    unreachable();
}

static void
say_refusal(struct dialog *d)
{
    const struct refusal *r = &d->refusal;
    struct slice text = refusal_text(r);
    char code[32];

    if (r->verbatim.len > 0) {
        dialog_say_line(d, r->verbatim, S(""));
        return;
    }
    refusal_smtp_code(r, code);
    bool is_attempt = r->stage == STAGE_LOGIN || r->stage == STAGE_RCPT;
    if (d->settings->as_nginx && is_attempt && r->code.len == 0)
        memcpy(code, "535 5.7.0", sizeof "535 5.7.0");
    dialog_tell_client(d, "%s %.*s\r\n", code, (int)text.len, text.ptr);
}

static enum ask
refuse_in_clear(struct dialog *d)
{
    if (d->settings->as_nginx)
        return invalid(d);
    d->errors++;
    d->refusal =
        (struct refusal){.reason = REASON_TLS_REQUIRED, .stage = STAGE_LOGIN};
    say_refusal(d);
    return ASK_INPUT;
}

static enum ask
on_auth(struct dialog *d, struct slice command, struct slice argument)
{
    struct slice initial = argument;
    struct slice name = slice_cut(&initial, ' ');
    struct slice challenge;
    enum mechanism m;

    (void)command;
    if (argument.len == 0 || slice_find(initial, ' ') < initial.len)
        return bad_argument(d);
    if (d->envelope.mail.len > 0)
        return bad_sequence(d);
    if (d->settings->tls_required && !d->secure)
        return refuse_in_clear(d);
    if (!mechanism_find(name, &m) || !dialog_takes(d, m))
        return invalid(d);
    if (name.len == argument.len)
        initial = (struct slice){NULL, 0};
    enum sasl_step step = sasl_begin(d, m, initial, &challenge);
    return take_sasl(d, step, challenge);
}

static enum ask
on_mail(struct dialog *d, struct slice command, struct slice argument)
{
    if (!d->settings->no_auth)
        return answer(d, S("530 5.7.1 Authentication required\r\n"));
    if (d->envelope.mail.len > 0)
        return bad_sequence(d);
    if (argument.len == 0)
        return bad_argument(d);
    d->envelope.mail = dialog_keep(d, command);
    if (d->settings->ask_mail) {
        d->client_state = PENDING_MAIL;
        return ASK_MAIL;
    }
    return answer(d, S("250 2.0.0 OK\r\n"));
}

static enum ask
on_rcpt(struct dialog *d, struct slice command, struct slice argument)
{
    if (!d->settings->no_auth)
        return answer(d, S("530 5.7.1 Authentication required\r\n"));
    if (d->envelope.mail.len == 0)
        return bad_sequence(d);
    if (argument.len == 0)
        return bad_argument(d);
    d->envelope.rcpt_mark = arena_mark(d->arena);
    d->envelope.rcpt = dialog_keep(d, command);
    d->credentials = (struct credentials){.mechanism = MECHANISM_NONE};
    return ASK_RCPT;
}

/* RFC 3030: the octets of the chunk follow at once, and must never be taken
 * for commands. */
static enum ask
on_bdat(struct dialog *d, struct slice command, struct slice argument)
{
    struct slice size = slice_cut(&argument, ' ');

    (void)command;
    for (size_t i = 0; i < size.len; i++) {
        if (size.ptr[i] < '0' || size.ptr[i] > '9')
            return bad_argument(d);
    }
    d->skip = slice_to_size(size);
    return invalid(d);
}

static enum ask
on_noop(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    (void)argument;
    return answer(d, S("250 2.0.0 OK\r\n"));
}

static enum ask
on_rset(struct dialog *d, struct slice command, struct slice argument)
{
    forget_transaction(d);
    return on_noop(d, command, argument);
}

static enum ask
on_starttls(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    if (!d->settings->starttls || d->secure)
        return invalid(d);
    if (argument.len > 0)
        return bad_argument(d);
    dialog_put_client(d, S("220 2.0.0 Start TLS\r\n"));
    return ASK_STARTTLS;
}

static enum ask
on_quit(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    (void)argument;
    dialog_put_client(d, S("221 2.0.0 Bye\r\n"));
    d->fault = FAULT_QUIT;
    return ASK_CLOSE;
}

/* Afterwards it is as if the connection had just been made. */
static enum ask
on_xclient(struct dialog *d, struct slice command, struct slice argument)
{
    (void)command;
    if (!d->peer_trusted) {
        d->errors++;
        return answer(d, S("550 5.7.0 You may not use XCLIENT\r\n"));
    }
    if (d->envelope.mail.len > 0)
        return bad_sequence(d);
    forget_transaction(d);
    enum ask ask = smtp_on_xclient(d, argument);
    if (ask == ASK_IDENTITY)
        d->client_state = PENDING_XCLIENT;
    return ask;
}

static const struct {
    const char *verb;
    enum ask (*run)(struct dialog *d, struct slice command,
                    struct slice argument);
} commands[] = {
    {"EHLO", on_ehlo}, {"HELO", on_helo},       {"AUTH", on_auth},
    {"MAIL", on_mail}, {"RCPT", on_rcpt},       {"BDAT", on_bdat},
    {"NOOP", on_noop}, {"RSET", on_rset},       {"STARTTLS", on_starttls},
    {"QUIT", on_quit}, {"XCLIENT", on_xclient},
};

static enum ask
run_command(struct dialog *d, struct slice command)
{
    struct slice argument = command;
    struct slice verb = slice_cut(&argument, ' ');

    while (slice_has_prefix(argument, S(" ")))
        argument = slice_drop(argument, 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (slice_spells(verb, commands[i].verb))
            return commands[i].run(d, command, argument);
    }
    return unknown(d, command);
}

static enum ask
on_command(struct dialog *d, struct slice command)
{
    struct slice challenge;

    if (d->skip > 0) {
        d->skip -= command.len;
        return ASK_INPUT;
    }
    command = line_text(command);
    if (d->sasl.active) {
        enum sasl_step step = sasl_respond(d, command, &challenge);
        return take_sasl(d, step, challenge);
    }
    if (has_control(command))
        return unknown(d, command);
    return run_command(d, line_trim_end(command));
}

static enum parse
frame_command(struct dialog *d, struct slice in, struct slice *command)
{
    if (d->skip > 0) {
        *command = slice_take(in, d->skip);
        return in.len > 0 ? PARSE_DONE : PARSE_MORE;
    }
    return sasl_line_frame(d, in, command);
}

static void
say_greeting(struct dialog *d)
{
    const struct proto_settings *settings = d->settings;

    if (settings->greeting.len > 0) {
        dialog_say_line(d, S("220 "), settings->greeting);
        return;
    }
    dialog_put_client(d, S("220 "));
    dialog_say_line(d, settings->server_name, S(" ESMTP ready"));
}

static void
welcome_again(struct dialog *d)
{
    d->envelope = (struct envelope){0};
    say_greeting(d);
}

static void
say_proceed(struct dialog *d)
{
    if (d->client_state == PENDING_HELO)
        smtp_say_hello(d);
    else if (d->client_state == PENDING_XCLIENT)
        welcome_again(d);
    else
        dialog_put_client(d, S("250 2.0.0 OK\r\n"));
    d->client_state = PENDING_NONE;
}

/* A refused HELO was never given.  A refused MAIL is forgotten anyway, with the
 * attempt that it began. */
static void
drop_pending(struct dialog *d)
{
    if (d->client_state == PENDING_HELO) {
        d->envelope.helo = S("");
        d->envelope.greeted = false;
    }
    d->client_state = PENDING_NONE;
}

/* RFC 5321 3.8: whoever closes says 421. */
static void
say_bye(struct dialog *d)
{
    struct slice text = refusal_text(&d->refusal);
    char code[32];

    refusal_smtp_code(&d->refusal, code);
    dialog_tell_client(
        d, "%s %.*s %.*s\r\n",
        slice_has_prefix(slice_of(code), S("421 ")) ? code : "421 4.3.0",
        (int)d->settings->server_name.len, d->settings->server_name.ptr,
        (int)text.len, text.ptr);
}

static void
say(struct dialog *d, enum say what)
{
    switch (what) {
    case SAY_GREETING:
        say_greeting(d);
        return;
    case SAY_PROCEED:
        say_proceed(d);
        return;
    case SAY_CHALLENGE:
        (void)take_sasl(d, SASL_CHALLENGE, d->sasl.challenge);
        return;
    case SAY_DENIAL:
        (void)take_sasl(d, SASL_CHALLENGE, sasl_deny(d));
        return;
    case SAY_REFUSAL:
        say_refusal(d);
        drop_pending(d);
        return;
    case SAY_FAULT:
        dialog_put_client(d, S("451 4.3.2 Internal server error\r\n"));
        return;
    case SAY_MALFORMED:
        dialog_put_client(d, S("500 5.5.1 Invalid command\r\n"));
        return;
    case SAY_BYE:
        say_bye(d);
        return;
    case SAY_GO_AHEAD: /* SMTP has no literals. */
        return;
    }
    unreachable();
}

const struct proto proto_smtp = {
    .name = "smtp",
    .port = 25,
    .port_tls = 465,
    .frame_command = frame_command,
    .frame_reply = smtp_frame_reply,
    .on_command = on_command,
    .on_reply = smtp_on_reply,
    .on_upstream_secured = smtp_on_upstream_secured,
    .say = say,
};
