#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/smtp.h"
#include "proto/xtext.h"

#define COMMAND_MAX 512 /* with CRLF, RFC 5321 4.5.3.1.4 */

/* RFC 2821 4.1.3: what stands before an IPv6 address. */
static const char ipv6_mark[] = {'I', 'P', 'V', '6', ':'};

static struct slice
helo_of(const struct dialog *d)
{
    return d->envelope.helo;
}

static struct slice
address_of(const struct dialog *d)
{
    return d->login.client_ip;
}

static struct slice
name_of(const struct dialog *d)
{
    return d->login.client_name.len > 0 ? d->login.client_name
                                        : S("[UNAVAILABLE]");
}

static struct slice
protocol_of(const struct dialog *d)
{
    if (!d->envelope.greeted)
        return S("");
    return d->envelope.ehlo ? S("ESMTP") : S("SMTP");
}

/* Who logged in is told only if the upstream won't hear it from AUTH. */
static struct slice
user_of(const struct dialog *d)
{
    return d->login.none ? d->login.user : S("");
}

static const struct {
    const char *name;
    struct slice (*value)(const struct dialog *d);
} attributes[] = {
    {"ADDR", address_of},   {"LOGIN", user_of}, {"NAME", name_of},
    {"PROTO", protocol_of}, {"HELO", helo_of},
};

#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])

void
smtp_xclient_learn(struct dialog *d, struct slice names)
{
    while (names.len > 0) {
        struct slice word = slice_cut(&names, ' ');
        for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
            if (slice_equal_nocase(word, slice_of(attributes[i].name)))
                d->upstream_offers |= XCLIENT_ATTRIBUTE(i);
        }
    }
}

/* " NAME=value", in the arena; empty if there is no value to tell. */
static struct slice
attribute_text(struct dialog *d, size_t i)
{
    struct slice name = slice_of(attributes[i].name);
    struct slice value = attributes[i].value(d);
    bool is_ipv6 = i == 0 && slice_find(value, ':') < value.len;

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
    if (is_ipv6) {
        memcpy(text + len, ipv6_mark, sizeof ipv6_mark);
        len += sizeof ipv6_mark;
    }
    len += xtext_encode(value, text + len);
    return (struct slice){text, len};
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
