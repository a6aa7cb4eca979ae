#include "proto/dialog.h"

#include "base/slice.h"
#include "proto/scram.h"

#include <stdarg.h>

void
dialog_init(struct dialog *d)
{
    d->tag = d->client_id = d->upstream_capabilities = S("");
}

void
dialog_begin_attempt(struct dialog *d)
{
    if (d->has_base_mark)
        return;
    d->base_mark = arena_mark(d->arena);
    d->has_base_mark = true;
}

void
dialog_forget(struct dialog *d)
{
    scram_end(d);
    d->downgraded = false;
    d->credentials = (struct credentials){0};
    d->sasl = (struct sasl){0};
    d->login = (struct login){0};
    dialog_restart_upstream(d);
    if (d->envelope.rcpt.len > 0) {
        d->envelope.rcpt = S("");
        arena_rewind(d->arena, d->envelope.rcpt_mark);
        return;
    }
    d->envelope.mail = S("");
    if (d->has_base_mark)
        arena_rewind(d->arena, d->base_mark);
    d->has_base_mark = false;
}

void
dialog_restart(struct dialog *d)
{
    d->envelope.rcpt = S("");
    dialog_forget(d);
    d->envelope = (struct envelope){0};
    d->command_framer = (struct framer){0};
    d->skip = 0;
    d->client_state = 0;
    d->tag = S("");
    d->asked_capabilities = false;
    d->client_id = S("");
    d->told = (struct client_identity){0};
}

void
dialog_restart_upstream(struct dialog *d)
{
    d->reply_framer = (struct framer){0};
    d->upstream_state = 0;
    d->upstream_offers = 0;
    d->upstream_mechanism = MECHANISM_NONE;
    d->upstream_mechanisms = 0;
    d->upstream_capabilities = S("");
    d->upstream_held = NULL;
    d->reply = (struct reply){0};
    if (d->fault != FAULT_RESOURCES)
        d->fault = FAULT_NONE;
}

bool
dialog_offers(const struct dialog *d, enum mechanism m)
{
    if (d->settings->tls_required && !d->secure)
        return false;
    if (m == MECHANISM_EXTERNAL && !d->certified)
        return false;
    /* RFC 7628 5: whoever overhears a token has it. */
    if (mechanism_has_token(m) && !d->secure && !d->settings->tokens_in_clear)
        return false;
    if (mechanism_is_scram(m) && !d->settings->ask_verifier)
        return false;
    if (mechanism_is_bound(m) && d->tls_exporter.len == 0 &&
        d->tls_unique.len == 0)
        return false;
    return m != MECHANISM_NONE && (d->mechanisms & MECHANISM_BIT(m)) != 0;
}

bool
dialog_takes(const struct dialog *d, enum mechanism m)
{
    bool is_plain = m == MECHANISM_PLAIN || m == MECHANISM_LOGIN;
    /* A policy that has chosen has the last word. */
    bool unlisted = is_plain && d->settings->unlisted_plain &&
                    d->mechanisms == d->settings->mechanisms;

    if (unlisted)
        return d->secure || !d->settings->tls_required;
    return dialog_offers(d, m);
}

bool
dialog_takes_passwords(const struct dialog *d)
{
    return dialog_takes(d, MECHANISM_PLAIN) || dialog_takes(d, MECHANISM_LOGIN);
}

void
dialog_tell_client(struct dialog *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!buf_vprintf(d->to_client, format, arguments))
        d->fault = FAULT_RESOURCES;
    va_end(arguments);
}

void
dialog_tell_upstream(struct dialog *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!buf_vprintf(d->to_upstream, format, arguments))
        d->fault = FAULT_RESOURCES;
    va_end(arguments);
}

void
dialog_put_client(struct dialog *d, struct slice bytes)
{
    if (!buf_append(d->to_client, bytes))
        d->fault = FAULT_RESOURCES;
}

void
dialog_put_upstream(struct dialog *d, struct slice bytes)
{
    if (!buf_append(d->to_upstream, bytes))
        d->fault = FAULT_RESOURCES;
}

static void
put_line(struct dialog *d, struct buf *to, struct slice head, struct slice rest)
{
    size_t most = head.len + rest.len + 2, room;
    char *at = buf_reserve(to, most, &room);

    if (at == NULL || room < most) {
        d->fault = FAULT_RESOURCES;
        return;
    }
    if (head.len > 0)
        memcpy(at, head.ptr, head.len);
    if (rest.len > 0)
        memcpy(at + head.len, rest.ptr, rest.len);
    at[most - 2] = '\r';
    at[most - 1] = '\n';
    buf_filled(to, most);
}

void
dialog_say_line(struct dialog *d, struct slice head, struct slice rest)
{
    put_line(d, d->to_client, head, rest);
}

void
dialog_send_line(struct dialog *d, struct slice head, struct slice rest)
{
    put_line(d, d->to_upstream, head, rest);
}

void
dialog_put_quoted(struct dialog *d, struct slice text)
{
    size_t most = 2 * text.len + 2, room, n = 0;
    char *to = buf_reserve(d->to_upstream, most, &room);

    if (to == NULL || room < most) {
        d->fault = FAULT_RESOURCES;
        return;
    }
    to[n++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            to[n++] = '\\';
        to[n++] = text.ptr[i];
    }
    to[n++] = '"';
    buf_filled(d->to_upstream, n);
}

struct slice
dialog_keep(struct dialog *d, struct slice bytes)
{
    struct slice copy = S("");

    dialog_begin_attempt(d);
    if (!arena_copy(d->arena, bytes, &copy))
        d->fault = FAULT_RESOURCES;
    return copy;
}

#define IN_EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* A subtraction borrows into the high bit of a byte that is less, unless the
 * byte had that bit itself. */
static bool
word_has_control(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    uint64_t del = word ^ IN_EACH_BYTE(0x7f);
    uint64_t low = (word - IN_EACH_BYTE(0x20)) & ~word;
    uint64_t zero = (del - IN_EACH_BYTE(0x01)) & ~del;

    return ((low | zero) & IN_EACH_BYTE(0x80)) != 0;
}

bool
has_control(struct slice bytes)
{
    const size_t step = sizeof(uint64_t);
    size_t at = 0;

    for (; at + step <= bytes.len; at += step) {
        if (word_has_control(bytes.ptr + at))
            return true;
    }
    if (at > 0) /* the last bytes, with some that were looked at already */
        return at < bytes.len && word_has_control(bytes.ptr + bytes.len - step);
    for (; at < bytes.len; at++) {
        unsigned char c = (unsigned char)bytes.ptr[at];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}
