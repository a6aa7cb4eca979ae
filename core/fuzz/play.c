#include "fuzz/play.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

/* Both plays cost the square of this. */
#define INPUT_MAX 2048

#define ALL_MECHANISMS (~0U)

/* A play: what is left to be shown, and all that came out so far. */
struct play {
    struct stage_set set;
    struct slice input;
    bool bytewise;
    bool over;
    struct buf trace;
    bool is_client;
    bool (*may_send)(struct slice line); /* NULL: any bytes */
};

char *
exact_copy(struct slice bytes)
{
    char *copy = malloc(bytes.len);

    require(copy != NULL || bytes.len == 0);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return copy;
}

void
stage_set_init(struct stage_set *s, const struct proto *proto, unsigned options)
{
    *s = (struct stage_set){
        .settings =
            {
                .server_name = S("gate.example"),
                .mechanisms = ALL_MECHANISMS,
                .command_max = (options & 64) != 0 ? 64 : 1024,
                .literal_max = (options & 64) != 0 ? 32 : 512,
                .reply_max = 1024,
                .no_auth = (options & 1) != 0,
                .tokens_in_clear = true,
                .starttls = (options & 2) != 0,
                .tls_required = (options & 4) != 0,
                .pass_capabilities = (options & 8) != 0,
                .ask_helo = (options & 16) != 0,
                .ask_mail = (options & 16) != 0,
                .ask_verifier = true,
                .forward = (options & 32) != 0 ? FORWARD_OFFERED : FORWARD_OFF,
            },
    };
    arena_init(&s->arena, (options & 128) != 0 ? 2048 : (size_t)64 * 1024);
    buf_init(&s->to_client, (size_t)64 * 1024);
    buf_init(&s->to_upstream, (size_t)64 * 1024);
    s->dialog = (struct dialog){
        .proto = proto,
        .settings = &s->settings,
        .arena = &s->arena,
        .to_client = &s->to_client,
        .to_upstream = &s->to_upstream,
        .learnt = &s->learnt,
        .mechanisms = ALL_MECHANISMS,
        .tls_exporter = S("an exporter of thirty-two bytes"),
        .certified = (options & 64) != 0,
        .peer_trusted = (options & 32) != 0,
        .salt = S("<1.2@gate.example>"),
    };
    dialog_init(&s->dialog);
}

void
stage_set_deinit(struct stage_set *s)
{
    dialog_forget(&s->dialog);
    arena_wipe(&s->arena);
    buf_deinit(&s->to_client);
    buf_deinit(&s->to_upstream);
}

static void
note(struct play *p, struct slice bytes)
{
    require(buf_append(&p->trace, bytes));
    require(buf_append(&p->trace, S("|")));
}

/* Lines that end in CRLF and hold no other control character: nothing that a
 * peer put into a value has become a line of its own. */
static void
check_lines(struct slice bytes, bool (*may_send)(struct slice line))
{
    while (bytes.len > 0) {
        require(slice_find(bytes, '\n') < bytes.len);
        struct slice line = slice_cut(&bytes, '\n');
        require(slice_drop_suffix(&line, S("\r")));
        require(!has_control(line));
        require(may_send == NULL || may_send(line));
    }
}

bool
is_base64(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        char c = ascii_lower(line.ptr[i]);
        bool is_digit = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_digit && c != '+' && c != '/' && c != '=')
            return false;
    }
    return true;
}

static void
note_output(struct play *p)
{
    /* What was said before memory ran out may be half a line. */
    bool is_whole = p->set.dialog.fault != FAULT_RESOURCES;

    if (is_whole && p->is_client)
        check_lines(buf_bytes(&p->set.to_client), NULL);
    if (is_whole && p->may_send != NULL)
        check_lines(buf_bytes(&p->set.to_upstream), p->may_send);
    note(p, buf_bytes(&p->set.to_client));
    note(p, buf_bytes(&p->set.to_upstream));
    buf_consume(&p->set.to_client, buf_len(&p->set.to_client));
    buf_consume(&p->set.to_upstream, buf_len(&p->set.to_upstream));
}

static bool
is_credential(struct slice bytes)
{
    return bytes.len <= CREDENTIAL_MAX && !has_control(bytes);
}

/* All that a session may read off the dialog when it is asked for something,
 * and what must be true of it. */
static void
note_ask(struct play *p, enum ask ask)
{
    struct dialog *d = &p->set.dialog;
    const struct credentials *c = &d->credentials;

    note_output(p);
    require(buf_printf(&p->trace, "ask %d fault %d errors %u mechanism %d|",
                       (int)ask, (int)d->fault, d->errors, (int)c->mechanism));
    require(is_credential(c->user) && is_credential(c->authzid) &&
            is_credential(c->password.bytes) && is_credential(c->response));
    require(!has_control(d->envelope.helo) && !has_control(d->envelope.mail) &&
            !has_control(d->envelope.rcpt) && !has_control(d->client_id));
    require(ask != ASK_AUTH || c->user.len > 0 ||
            c->mechanism == MECHANISM_EXTERNAL);
    require(ask != ASK_AUTH || dialog_takes(d, c->mechanism) ||
            c->mechanism == MECHANISM_PLAIN);
    note(p, c->user);
    note(p, c->authzid);
    note(p, c->password.bytes);
    note(p, c->response);
    note(p, d->envelope.helo);
    note(p, d->envelope.mail);
    note(p, d->envelope.rcpt);
    note(p, d->tag);
    note(p, d->client_id);
    note(p, d->reply.text);
}

static void
answer_client(struct play *p, enum ask ask)
{
    struct dialog *d = &p->set.dialog;

    note_ask(p, ask);
    require(ask != ASK_SPLICE && ask != ASK_REFUSE);
    if (ask == ASK_CLOSE || d->fault == FAULT_RESOURCES) {
        p->over = true;
        return;
    }
    if (ask == ASK_STARTTLS) {
        d->secure = true;
        dialog_restart(d);
        return;
    }
    if (ask == ASK_HELO || ask == ASK_MAIL || ask == ASK_IDENTITY) {
        d->proto->say(d, SAY_PROCEED);
        return;
    }
    d->refusal = (struct refusal){
        .reason = REASON_UNAVAILABLE,
        .stage = ask == ASK_RCPT ? STAGE_RCPT : STAGE_LOGIN,
    };
    d->proto->say(d, SAY_REFUSAL);
    dialog_forget(d);
}

/* Shows the first `len` bytes of what is left; how many were used up. */
static size_t
show_client(struct play *p, size_t len)
{
    struct dialog *d = &p->set.dialog;
    char *copy = exact_copy(slice_take(p->input, len));
    struct slice unit = S("");
    enum parse parse =
        d->proto->frame_command(d, (struct slice){copy, len}, &unit);
    size_t used = 0;

    if (parse == PARSE_DONE) {
        require(unit.len > 0 && unit.len <= len && unit.ptr == copy);
        used = unit.len;
        enum ask ask = d->proto->on_command(d, unit);
        memset(copy, 'X', len);
        if (ask != ASK_INPUT || d->fault == FAULT_RESOURCES)
            answer_client(p, ask);
    } else if (parse == PARSE_PROMPT) {
        d->proto->say(d, SAY_GO_AHEAD);
    } else if (parse == PARSE_BAD) {
        d->proto->say(d, SAY_MALFORMED);
        p->over = true;
    }
    free(copy);
    return parse == PARSE_MORE ? SIZE_MAX : used;
}

static size_t
show_upstream(struct play *p, size_t len)
{
    struct dialog *d = &p->set.dialog;
    char *copy = exact_copy(slice_take(p->input, len));
    struct slice unit = S("");
    enum parse parse =
        d->proto->frame_reply(d, (struct slice){copy, len}, &unit);
    size_t used = 0;

    if (parse == PARSE_DONE) {
        require(unit.len > 0 && unit.len <= len && unit.ptr == copy);
        used = unit.len;
        enum ask ask = d->proto->on_reply(d, unit);
        memset(copy, 'X', len);
        p->over = ask != ASK_INPUT || d->fault == FAULT_RESOURCES;
        /* A client hears nothing of a login that failed. */
        require(ask == ASK_SPLICE || buf_is_empty(&p->set.to_client));
        note_ask(p, ask);
    } else if (parse == PARSE_BAD) {
        p->over = true;
    }
    require(parse != PARSE_PROMPT);
    free(copy);
    return parse == PARSE_MORE ? SIZE_MAX : used;
}

/* Shows all of the input, at once or byte by byte. */
static void
run(struct play *p, size_t (*show)(struct play *p, size_t len))
{
    size_t arrived = p->bytewise ? 1 : p->input.len;

    while (!p->over && arrived <= p->input.len && p->input.len > 0) {
        size_t used = show(p, arrived);
        note_output(p);
        if (used == SIZE_MAX) {
            arrived++;
            continue;
        }
        p->input = slice_drop(p->input, used);
        arrived -= used;
        if (arrived == 0)
            arrived = 1;
    }
}

/* Empty notes depend on how the bytes came, and say nothing. */
static void
squeeze(struct buf *trace)
{
    size_t out = trace->start;

    for (size_t i = trace->start; i < trace->end; i++) {
        if (trace->memory[i] != '|')
            trace->memory[out++] = trace->memory[i];
    }
    trace->end = out;
}

/* How a play begins and goes on. */
struct piece {
    const struct proto *proto;
    void (*begin)(struct play *p, unsigned options);
    size_t (*show)(struct play *p, size_t len);
    bool (*may_send)(struct slice line);
};

static void
play_twice(const struct piece *piece, const uint8_t *data, size_t size)
{
    struct play plays[2];
    struct slice input = {(const char *)data, size};

    if (size == 0 || size > INPUT_MAX)
        return;
    unsigned options = data[0];

    for (size_t i = 0; i < 2; i++) {
        struct play *p = &plays[i];
        *p = (struct play){.input = slice_drop(input, 1),
                           .bytewise = i == 1,
                           .may_send = piece->may_send};
        buf_init(&p->trace, (size_t)1024 * 1024 * 16);
        stage_set_init(&p->set, piece->proto, options);
        piece->begin(p, options);
        run(p, piece->show);
        squeeze(&p->trace);
    }
    require(
        slice_equal(buf_bytes(&plays[0].trace), buf_bytes(&plays[1].trace)));
    for (size_t i = 0; i < 2; i++) {
        stage_set_deinit(&plays[i].set);
        buf_deinit(&plays[i].trace);
    }
}

static void
begin_client(struct play *p, unsigned options)
{
    (void)options;
    p->is_client = true;
    p->set.dialog.proto->say(&p->set.dialog, SAY_GREETING);
}

static void
begin_upstream(struct play *p, unsigned options)
{
    struct dialog *d = &p->set.dialog;

    d->tag = S("a1");
    d->asked_capabilities = (options & 1) != 0;
    d->probing = (options & 2) != 0;
    d->envelope.helo = S("client.example");
    d->envelope.ehlo = true;
    d->envelope.mail = S("MAIL FROM:<a@example>");
    d->envelope.rcpt = S("");
    d->login = (struct login){
        .user = (options & 4) != 0 ? S("b\xc3\xa4r") : S("bob"),
        .password = {(options & 4) != 0 ? S("\"\xff") : S("sec\"ret\\")},
        .authzid = (options & 16) != 0 ? S("alice") : S(""),
        .mechanism = (options & 64) != 0 ? MECHANISM_PLAIN : MECHANISM_NONE,
    };
    d->forward = (options & 128) != 0  ? FORWARD_ALWAYS
                 : (options & 32) != 0 ? FORWARD_OFFERED
                                       : FORWARD_OFF;
    d->client_id = S("\"name\" \"fuzz\"");
    d->identity.facts[IDENTITY_IP] = S("192.0.2.7");
    d->identity.facts[IDENTITY_PORT] = S("4711");
    d->identity.facts[IDENTITY_SERVER_NAME] = S("a b\"c\\");
    d->identity.facts[IDENTITY_TTL] = S("6");
}

/* Cuts a value off the front, whose length the first byte says. */
static struct slice
take_value(struct slice *in)
{
    if (in->len == 0)
        return S("");
    size_t len = (unsigned char)in->ptr[0];
    *in = slice_drop(*in, 1);
    struct slice value = slice_take(*in, len);
    *in = slice_drop(*in, len);
    return value;
}

static void
begin_login(struct play *p, unsigned options)
{
    struct dialog *d = &p->set.dialog;
    unsigned more = p->input.len > 0 ? (unsigned char)p->input.ptr[0] : 0;

    p->input = slice_drop(p->input, 1);
    begin_upstream(p, options);
    d->login.user = take_value(&p->input);
    d->login.password.bytes = take_value(&p->input);
    d->login.authzid = take_value(&p->input);
    d->login.none = (more & 1) != 0;
    d->envelope.rcpt = (more & 2) != 0 ? S("RCPT TO:<b@example>") : S("");
    p->set.learnt.known = (more & 4) != 0;
    if ((more & 8) != 0)
        d->identity.facts[IDENTITY_IP] = S("2001:db8::7");
    if ((more & 48) == 16)
        d->login.mechanism = MECHANISM_CRAM_MD5;
    if ((more & 48) == 32)
        d->login.mechanism = MECHANISM_EXTERNAL;
    d->credentials.mechanism = MECHANISM_PLAIN;
}

void
play_client(const struct proto *proto, const uint8_t *data, size_t size)
{
    const struct piece piece = {proto, begin_client, show_client, NULL};

    play_twice(&piece, data, size);
}

void
play_upstream(const struct proto *proto, const uint8_t *data, size_t size)
{
    const struct piece piece = {proto, begin_upstream, show_upstream, NULL};

    play_twice(&piece, data, size);
}

void
play_login(const struct proto *proto, bool (*may_send)(struct slice line),
           const uint8_t *data, size_t size)
{
    const struct piece piece = {proto, begin_login, show_upstream, may_send};

    play_twice(&piece, data, size);
}
