#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/smtp.h"
#include "proto/xtext.h"

#define COMMAND_MAX 512 /* with CRLF, RFC 5321 4.5.3.1.4 */

/* RFC 2821 4.1.3: what stands before an IPv6 address. */
static const char ipv6_mark[] = {'I', 'P', 'V', '6', ':'};

/* Who logged in is told only if the upstream won't hear it from AUTH. */
static struct slice
user_of(const struct dialog *d)
{
    return d->login.none ? d->login.user : S("");
}

static struct slice
protocol_of(const struct dialog *d)
{
    if (!d->envelope.greeted)
        return S("");
    return d->envelope.ehlo ? S("ESMTP") : S("SMTP");
}

static struct slice
helo_of(const struct dialog *d)
{
    return d->envelope.helo;
}

/* In the order in which they are told: a fact of the identity, or a function. */
static const struct {
    const char *name;
    struct slice (*value)(const struct dialog *d);
    enum identity_fact fact;
    bool basic; /* told without being offered, as nginx does */
} attributes[] = {
    {"ADDR", NULL, IDENTITY_IP, true},
    {"LOGIN", user_of, 0, true},
    {"NAME", NULL, IDENTITY_NAME, true},
    {"PROTO", protocol_of, 0, false},
    {"HELO", helo_of, 0, false},
    {"PORT", NULL, IDENTITY_PORT, false},
    {"DESTADDR", NULL, IDENTITY_SERVER_IP, false},
    {"DESTPORT", NULL, IDENTITY_SERVER_PORT, false},
    {"SESSION", NULL, IDENTITY_SESSION, false},
    {"TTL", NULL, IDENTITY_TTL, false},
    {"CLIENT-TRANSPORT", NULL, IDENTITY_TRANSPORT, false},
    {"DESTNAME", NULL, IDENTITY_SERVER_NAME, false},
};

#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])

void
smtp_xclient_learn(struct dialog *d, struct slice names)
{
    while (names.len > 0) {
        struct slice word = slice_cut(&names, ' ');
        for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
            if (slice_spells(word, attributes[i].name))
                d->upstream_offers |= XCLIENT_ATTRIBUTE(i);
        }
    }
}

static struct slice
value_of(const struct dialog *d, size_t i)
{
    if (attributes[i].value != NULL)
        return attributes[i].value(d);
    struct slice value = d->identity.facts[attributes[i].fact];
    bool is_name = attributes[i].fact == IDENTITY_NAME;
    return is_name && value.len == 0 ? S("[UNAVAILABLE]") : value;
}

static bool
is_ipv6(size_t i, struct slice value)
{
    enum identity_fact fact = attributes[i].fact;
    bool is_address = fact == IDENTITY_IP || fact == IDENTITY_SERVER_IP;

    return attributes[i].value == NULL && is_address &&
           slice_find(value, ':') < value.len;
}

/* " NAME=value", in the arena; empty if there is no value to tell. */
static struct slice
attribute_text(struct dialog *d, size_t i)
{
    struct slice name = slice_of(attributes[i].name);
    struct slice value = value_of(d, i);

    if (value.len == 0)
        return S("");
    char *text = arena_alloc(d->arena, sizeof " =IPV6:" + name.len +
                                           xtext_encoded_max(value.len));
    if (text == NULL) {
        d->fault = FAULT_RESOURCES;
        return S("");
    }
    size_t len = 0;
    text[len++] = ' ';
    memcpy(text + len, name.ptr, name.len);
    len += name.len;
    text[len++] = '=';
    if (is_ipv6(i, value)) {
        memcpy(text + len, ipv6_mark, sizeof ipv6_mark);
        len += sizeof ipv6_mark;
    }
    len += xtext_encode(value, text + len);
    return (struct slice){text, len};
}

void
smtp_xclient_assume(struct dialog *d)
{
    if (d->upstream_offers >= XCLIENT_ATTRIBUTE(0))
        return;
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (attributes[i].basic)
            d->upstream_offers |= XCLIENT_ATTRIBUTE(i);
    }
}

bool
smtp_xclient_send(struct dialog *d)
{
    size_t len = sizeof "XCLIENT\r\n" - 1;
    bool has_any = false;

    dialog_begin_attempt(d);
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if ((d->upstream_offers & XCLIENT_ATTRIBUTE(i)) == 0)
            continue;
        struct slice text = attribute_text(d, i);
        if (has_any && len + text.len > COMMAND_MAX)
            break;
        d->upstream_offers &= ~XCLIENT_ATTRIBUTE(i);
        if (text.len == 0)
            continue;
        if (!has_any)
            dialog_put_upstream(d, S("XCLIENT"));
        dialog_put_upstream(d, text);
        len += text.len;
        has_any = true;
    }
    if (has_any)
        dialog_put_upstream(d, S("\r\n"));
    return has_any;
}

enum ask
smtp_on_xclient(struct dialog *d, struct slice argument)
{
    enum identity_told told = identity_take_arguments(d, argument, true);

    if (told == IDENTITY_TAKEN || told == IDENTITY_UNKNOWN)
        return ASK_IDENTITY;
    d->errors++;
    dialog_put_client(d, told == IDENTITY_AGAIN
                             ? S("503 5.5.1 That was told already\r\n")
                             : S("501 5.5.4 Invalid argument\r\n"));
    return ASK_INPUT;
}
