#include "proto/imap_login.h"

#include "base/base64.h"
#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/imap_capabilities.h"

/* What LITERAL- allows to be sent unasked (RFC 7888 5). */
#define UNASKED_MAX 4096

/* Longer strings go as literals: old servers have small line buffers. */
#define QUOTED_MAX 256

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
    bool unasked = offers(d, "LITERAL+") ||
                   (offers(d, "LITERAL-") && value.len <= UNASKED_MAX);

    /* Without reconciliation nothing is taken for granted: literals, one at
     * a time, is how nginx always did it. */
    if (d->settings->pass_capabilities && is_quotable(value)) {
        dialog_put_upstream(d, S(" \""));
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] == '"' || value.ptr[i] == '\\')
                dialog_put_upstream(d, S("\\"));
            dialog_put_upstream(d, slice_take(slice_drop(value, i), 1));
        }
        dialog_put_upstream(d, S("\""));
        return true;
    }
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

static char *
append(char *out, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(out, bytes.ptr, bytes.len);
    return out + bytes.len;
}

/* RFC 4616, in base64 and with its CRLF. */
static void
put_sasl_plain(struct dialog *d)
{
    const struct login *login = &d->login;
    size_t len =
        login->authzid.len + login->user.len + login->password.bytes.len + 2;
    size_t text_len = base64_encoded_len(len);

    dialog_begin_attempt(d);
    char *bytes = arena_alloc(d->arena, len + text_len);
    if (bytes == NULL) {
        d->fault = FAULT_RESOURCES;
        return;
    }
    /* The arena's bytes are zero: both NULs are there already. */
    char *out = append(bytes, login->authzid) + 1;
    out = append(out, login->user) + 1;
    out = append(out, login->password.bytes);
    base64_encode((struct slice){bytes, len}, out);
    dialog_put_upstream(d, (struct slice){out, text_len});
    dialog_put_upstream(d, S("\r\n"));
}

static enum ask
start_authenticate(struct dialog *d)
{
    dialog_put_upstream(d, imap_login_tag(d));
    dialog_put_upstream(d, S(" AUTHENTICATE PLAIN"));
    if (!offers(d, "SASL-IR")) {
        dialog_put_upstream(d, S("\r\n"));
        d->upstream_state = STATE_RESPONSE;
        return ASK_INPUT;
    }
    dialog_put_upstream(d, S(" "));
    put_sasl_plain(d);
    d->upstream_state = STATE_ANSWER;
    return ASK_INPUT;
}

enum ask
imap_login_start(struct dialog *d)
{
    const struct login *login = &d->login;
    bool known = (d->upstream_offers & OFFERS_KNOWN) != 0;
    bool can_plain = !known || offers(d, "AUTH=PLAIN");

    if (login->none)
        return close_for(d, FAULT_NO_LOGIN);
    if (login->authzid.len > 0 || login->mechanism == MECHANISM_PLAIN)
        return can_plain ? start_authenticate(d) : close_for(d, FAULT_NO_LOGIN);
    if (login->mechanism != MECHANISM_NONE &&
        login->mechanism != MECHANISM_LOGIN)
        return close_for(d, FAULT_NO_LOGIN);
    if (!offers(d, "LOGINDISABLED"))
        return start_login_command(d);
    if (login->mechanism == MECHANISM_NONE && can_plain)
        return start_authenticate(d);
    return close_for(d, FAULT_NO_LOGIN);
}

enum ask
imap_login_go_on(struct dialog *d)
{
    switch (d->upstream_state) {
    case STATE_USER:
        dialog_put_upstream(d, d->login.user);
        return put_password(d);
    case STATE_PASSWORD:
        dialog_put_upstream(d, d->login.password.bytes);
        dialog_put_upstream(d, S("\r\n"));
        break;
    case STATE_RESPONSE:
        put_sasl_plain(d);
        break;
    default:
        /* Some servers say "+" to a literal that did not wait for it. */
        if (d->upstream_state == STATE_ANSWER &&
            (d->upstream_offers & OFFERS_LITERAL) != 0)
            return ASK_INPUT;
        return close_for(d, FAULT_GARBAGE);
    }
    d->upstream_state = STATE_ANSWER;
    return ASK_INPUT;
}
