#include "session/login_state.h"

#include "base/decimal.h"
#include "base/random.h"
#include "base/slice.h"
#include "base/spare.h"
#include "proto/sasl_token.h"
#include "session/sessions.h"

#include <string.h>

#define ARENA_MAX    ((size_t)64 * 1024)
#define ANSWER_MAX   ((size_t)16 * 1024) /* what waits for a slow client */
#define CLIENT_MIN   ((size_t)4096)
#define NAME_MAX     ((size_t)255)
#define UPSTREAM_MAX ((size_t)8 * 1024)

/* A token as it came, as it goes on, and in base64. */
#define TOKEN_ARENA (3 * TOKEN_LINE_MAX)

static struct spare spares = {.size = sizeof(struct login_state)};

static size_t
at_least(size_t n, size_t floor)
{
    return n > floor ? n : floor;
}

void
login_state_salt(struct session *s)
{
    struct dialog *d = &s->login->dialog;
    struct slice name = s->listener->settings.server_name;
    uint64_t bits[2];
    char *text = s->login->salt_text;

    random_bytes(bits, sizeof bits);
    name = slice_take(name, NAME_MAX);
    size_t len = 0;
    text[len++] = '<';
    len += decimal_put(text + len, bits[0]);
    text[len++] = '.';
    len += decimal_put(text + len, bits[1]);
    text[len++] = '@';
    memcpy(text + len, name.ptr, name.len);
    len += name.len;
    text[len++] = '>';
    d->salt = (struct slice){text, len};
}

static bool
takes_tokens(const struct proto_settings *settings)
{
    return (settings->mechanisms & (MECHANISM_BIT(MECHANISM_OAUTHBEARER) |
                                    MECHANISM_BIT(MECHANISM_XOAUTH2))) != 0;
}

struct login_state *
login_state_new(struct session *s, struct capabilities *learnt)
{
    const struct proto_settings *settings = &s->listener->settings;
    struct login_state *login = spare_take(&spares);

    memset(login, 0, sizeof *login);
    s->login = login;
    size_t token = takes_tokens(settings) ? TOKEN_LINE_MAX : 0;
    size_t command = at_least(settings->command_max, token);
    arena_init(&login->arena, ARENA_MAX + (token > 0 ? TOKEN_ARENA : 0));
    buf_init(&login->from_client, at_least(command, CLIENT_MIN));
    buf_init(&login->to_client, ANSWER_MAX + settings->reply_max);
    buf_init(&login->from_upstream, at_least(settings->reply_max, CLIENT_MIN));
    buf_init(&login->to_upstream, UPSTREAM_MAX + 2 * command);
    struct dialog *d = &login->dialog;
    d->proto = s->listener->proto;
    d->settings = settings;
    d->arena = &login->arena;
    d->to_client = &login->to_client;
    d->to_upstream = &login->to_upstream;
    d->learnt = learnt;
    d->mechanisms = settings->mechanisms;
    dialog_init(d);
    login->ttl = IDENTITY_TTL_START;
    login->server_addr = s->listener->only;
    return login;
}

void
login_state_free(struct session *s)
{
    struct login_state *login = s->login;

    if (login == NULL)
        return;
    session_let_go(s);
    dialog_forget(&login->dialog);
    dial_cancel(login->dial);
    dns_cancel(login->reverse);
    buf_deinit(&login->from_client);
    buf_deinit(&login->to_client);
    buf_deinit(&login->from_upstream);
    buf_deinit(&login->to_upstream);
    arena_wipe(&login->arena);
    explicit_bzero(login, sizeof *login);
    spare_give(&spares, login);
    s->login = NULL;
}
