#include "proto/pop3.h"

#include "base/slice.h"
#include "proto/abuse.h"
#include "proto/dialog.h"
#include "proto/line.h"
#include "proto/offer.h"
#include "proto/protocols.h"

/* dialog->client_state */
enum pop3_state {
    POP3_START,
    POP3_USER, /* a name was given: only PASS goes on from here */
};

static bool
must_secure_first(const struct dialog *d)
{
    return d->settings->tls_required && !d->secure;
}

static enum ask
answer(struct dialog *d, struct slice text)
{
    dialog_put_client(d, text);
    return ASK_INPUT;
}

/* The attempt that was under way, if any, is over. */
static enum ask
invalid(struct dialog *d)
{
    d->errors++;
    d->client_state = POP3_START;
    dialog_forget(d);
    return answer(d, S("-ERR invalid command\r\n"));
}

/* No verb of a browser is one of ours. */
static enum ask
unknown(struct dialog *d, struct slice command)
{
    return is_http(command) ? abuse_close(d) : invalid(d);
}

static void
say_refusal(struct dialog *d)
{
    const struct refusal *r = &d->refusal;

    if (r->verbatim.len > 0) {
        dialog_say_line(d, r->verbatim, S(""));
        return;
    }
    struct slice code = d->settings->as_nginx ? S("") : refusal_pop3_code(r);
    struct slice text = refusal_text(r);
    dialog_tell_client(d, "-ERR %.*s%s%.*s\r\n", (int)code.len, code.ptr,
                       code.len > 0 ? " " : "", (int)text.len, text.ptr);
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
take_sasl(struct dialog *d, enum sasl_step step, struct slice challenge)
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
        return invalid(d);
    }
    unreachable();
}

/* `AUTH` alone lists, one a line, what `CAPA` puts on one. */
static enum ask
list_mechanisms(struct dialog *d)
{
    char names[OFFER_MECHANISMS_MAX];

    offer_mechanisms(d, names);
    struct slice rest = slice_drop(slice_of(names), 1);
    dialog_put_client(d, S("+OK methods supported:\r\n"));
    while (rest.len > 0) {
        struct slice name = slice_cut(&rest, ' ');
        dialog_say_line(d, name, S(""));
    }
    return answer(d, S(".\r\n"));
}

static enum ask
on_auth(struct dialog *d, struct slice argument)
{
    struct slice initial = argument;
    struct slice name = slice_cut(&initial, ' ');
    struct slice challenge;
    enum mechanism m;

    if (argument.len == 0)
        return list_mechanisms(d);
    if (must_secure_first(d))
        return refuse_in_clear(d);
    if (!mechanism_find(name, &m) || !dialog_takes(d, m))
        return invalid(d);
    if (name.len == argument.len)
        initial = (struct slice){NULL, 0};
    enum sasl_step step = sasl_begin(d, m, initial, &challenge);
    return take_sasl(d, step, challenge);
}

/* RFC 1939: the name and the digest; a name may hold spaces. */
static enum ask
on_apop(struct dialog *d, struct slice argument)
{
    struct slice user = argument;

    while (user.len > 0 && user.ptr[user.len - 1] != ' ')
        user.len--;
    struct slice digest = slice_drop(argument, user.len);
    slice_drop_suffix(&user, S(" "));

    if (must_secure_first(d))
        return refuse_in_clear(d);
    if (!dialog_offers(d, MECHANISM_APOP) || d->salt.len == 0 ||
        user.len == 0 || !credential_is_sane(user) || !digest_is_hex(digest))
        return invalid(d);
    d->credentials = (struct credentials){.mechanism = MECHANISM_APOP};
    d->credentials.user = dialog_keep(d, user);
    d->credentials.response = dialog_keep(d, digest);
    return ASK_AUTH;
}

static enum ask
on_user(struct dialog *d, struct slice argument)
{
    argument = line_trim_end(argument);
    if (must_secure_first(d))
        return refuse_in_clear(d);
    if (!dialog_takes_passwords(d) || argument.len == 0 ||
        !credential_is_sane(argument))
        return invalid(d);
    d->credentials = (struct credentials){.mechanism = MECHANISM_PLAIN};
    d->credentials.user = dialog_keep(d, argument);
    d->client_state = POP3_USER;
    return answer(d, S("+OK\r\n"));
}

/* A password may begin, end and be filled with spaces. */
static enum ask
on_pass(struct dialog *d, struct slice argument)
{
    if (d->client_state != POP3_USER || argument.len == 0 ||
        !credential_is_sane(argument))
        return invalid(d);
    d->client_state = POP3_START;
    d->credentials.password.bytes = dialog_keep(d, argument);
    return ASK_AUTH;
}

static const char *const none[] = {NULL};

/* Lines of CAPA that an upstream's list must not bring in: what the gateway
 * decides itself, and what works only before the login (RFC 6856). */
static const char *const own[] = {
    "STLS",           "SASL", "USER", "APOP",       "XCLIENT",        "XOIP",
    "IMPLEMENTATION", "UTF8", "LANG", "RESP-CODES", "AUTH-RESP-CODE", NULL,
};

static void
put_lines(struct dialog *d, struct slice list, const char *const *dropped)
{
    struct slice line;

    while (offer_next(&list, &line)) {
        if (offer_may_pass(line, dropped))
            dialog_say_line(d, line, S(""));
    }
}

/* The configured list: one capability a line, or all on one. */
static void
put_configured(struct dialog *d)
{
    struct slice list = d->settings->capabilities;
    static const char *const user[] = {"USER", NULL};
    const char *const *dropped = must_secure_first(d) ? user : none;

    if (slice_find(list, '\n') < list.len) {
        put_lines(d, list, dropped);
        return;
    }
    while (list.len > 0)
        put_lines(d, slice_cut(&list, ' '), dropped);
}

/* What the gateway does itself, and what the upstreams were last seen to do;
 * what nearly all of them do until one was seen. */
static void
put_computed(struct dialog *d)
{
    const struct capabilities *learnt = d->learnt;

    put_lines(d, S("RESP-CODES\nAUTH-RESP-CODE"), none);
    if (dialog_takes_passwords(d))
        put_lines(d, S("USER"), none);
    if (learnt != NULL && learnt->known)
        put_lines(d, (struct slice){learnt->text, learnt->len}, own);
    else
        put_lines(d, S("TOP\nUIDL\nPIPELINING"), none);
}

static enum ask
on_capa(struct dialog *d, struct slice argument)
{
    char names[OFFER_MECHANISMS_MAX];

    (void)argument;
    offer_mechanisms(d, names);
    dialog_put_client(d, S("+OK Capability list follows\r\n"));
    if (d->settings->capabilities.ptr != NULL)
        put_configured(d);
    else
        put_computed(d);
    if (names[0] != '\0')
        dialog_tell_client(d, "SASL%s\r\n", names);
    if (d->settings->starttls && !d->secure)
        dialog_put_client(d, S("STLS\r\n"));
    return answer(d, S(".\r\n"));
}

static enum ask
on_noop(struct dialog *d, struct slice argument)
{
    (void)argument;
    return answer(d, S("+OK\r\n"));
}

static enum ask
on_stls(struct dialog *d, struct slice argument)
{
    if (!d->settings->starttls || d->secure || argument.len > 0)
        return invalid(d);
    dialog_put_client(d, S("+OK\r\n"));
    return ASK_STARTTLS;
}

static enum ask
on_quit(struct dialog *d, struct slice argument)
{
    (void)argument;
    dialog_put_client(d, S("+OK\r\n"));
    d->fault = FAULT_QUIT;
    return ASK_CLOSE;
}

static enum ask
on_xclient(struct dialog *d, struct slice argument)
{
    return d->peer_trusted ? pop3_on_xclient(d, argument) : invalid(d);
}

static const struct {
    const char *verb;
    enum ask (*run)(struct dialog *d, struct slice argument);
    bool after_user; /* also good between USER and PASS */
} commands[] = {
    {"USER", on_user, false},       {"PASS", on_pass, true},
    {"APOP", on_apop, false},       {"AUTH", on_auth, false},
    {"CAPA", on_capa, true},        {"NOOP", on_noop, true},
    {"STLS", on_stls, false},       {"QUIT", on_quit, true},
    {"XCLIENT", on_xclient, false},
};

static enum ask
on_command(struct dialog *d, struct slice command)
{
    struct slice argument = line_text(command);
    struct slice challenge;

    if (d->sasl.active) {
        enum sasl_step step = sasl_respond(d, argument, &challenge);
        return take_sasl(d, step, challenge);
    }
    if (has_control(argument))
        return unknown(d, argument);

    struct slice verb = slice_cut(&argument, ' ');
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!slice_spells(verb, commands[i].verb))
            continue;
        if (d->client_state == POP3_USER && !commands[i].after_user)
            break;
        return commands[i].run(d, argument);
    }
    return unknown(d, verb);
}

static enum parse
frame_command(struct dialog *d, struct slice in, struct slice *command)
{
    return sasl_line_frame(d, in, command);
}

static void
say_greeting(struct dialog *d)
{
    const struct proto_settings *settings = d->settings;
    struct slice text =
        settings->greeting.len > 0 ? settings->greeting : S("POP3 ready");
    bool salted = dialog_offers(d, MECHANISM_APOP) ||
                  dialog_offers(d, MECHANISM_CRAM_MD5);

    dialog_put_client(d, d->peer_trusted ? S("+OK [XCLIENT] ") : S("+OK "));
    dialog_put_client(d, text);
    if (salted) {
        dialog_put_client(d, S(" "));
        dialog_put_client(d, d->salt);
    }
    dialog_put_client(d, S("\r\n"));
}

static void
say(struct dialog *d, enum say what)
{
    switch (what) {
    case SAY_GREETING:
        say_greeting(d);
        return;
    case SAY_CHALLENGE:
        (void)take_sasl(d, SASL_CHALLENGE, d->sasl.challenge);
        return;
    case SAY_DENIAL:
        (void)take_sasl(d, SASL_CHALLENGE, sasl_deny(d));
        return;
    case SAY_REFUSAL:
    case SAY_BYE:
        say_refusal(d);
        return;
    case SAY_FAULT:
        dialog_put_client(d, S("-ERR internal server error\r\n"));
        return;
    case SAY_MALFORMED:
        dialog_put_client(d, S("-ERR invalid command\r\n"));
        return;
    case SAY_PROCEED:
        dialog_put_client(d, S("+OK\r\n"));
        return;
    case SAY_GO_AHEAD: /* POP3 has no literals. */
        return;
    }
    unreachable();
}

const struct proto proto_pop3 = {
    .name = "pop3",
    .port = 110,
    .port_tls = 995,
    .frame_command = frame_command,
    .frame_reply = pop3_frame_reply,
    .on_command = on_command,
    .on_reply = pop3_on_reply,
    .on_upstream_secured = pop3_on_upstream_secured,
    .say = say,
};
