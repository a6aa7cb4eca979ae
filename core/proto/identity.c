#include "proto/identity.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/xtext.h"

#define ID_MAX 64

static const struct {
    const char *imap;
    const char *attribute;
} names[IDENTITY_COUNT] = {
    [IDENTITY_IP] = {"x-originating-ip", "ADDR"},
    [IDENTITY_PORT] = {"x-originating-port", "PORT"},
    [IDENTITY_NAME] = {NULL, "NAME"},
    [IDENTITY_SERVER_IP] = {"x-connected-ip", "DESTADDR"},
    [IDENTITY_SERVER_PORT] = {"x-connected-port", "DESTPORT"},
    [IDENTITY_SESSION] = {"x-session-id", "SESSION"},
    [IDENTITY_TTL] = {"x-proxy-ttl", "TTL"},
    [IDENTITY_TRANSPORT] = {"x-client-transport", "CLIENT-TRANSPORT"},
    [IDENTITY_SERVER_NAME] = {"x-connected-name", "DESTNAME"},
};

const char *
identity_imap_key(enum identity_fact fact)
{
    return names[fact].imap;
}

const char *
identity_attribute(enum identity_fact fact)
{
    return names[fact].attribute;
}

bool
identity_owns_key(struct slice key)
{
    static const char *const families[] = {
        "x-originating-", "x-connected-", "x-session-",  "x-proxy-",
        "x-client-",      "x-forward-",   "x-multiplex",
    };

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (slice_has_prefix_nocase(key, slice_of(families[i])))
            return true;
    }
    return false;
}

static bool
is_number(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
    }
    return value.len > 0 && value.len <= 5 &&
           slice_to_size(value) <= UINT16_MAX;
}

/* Letters, digits and what stands in addresses, names and ids. */
static bool
is_word(struct slice value, size_t max)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = ascii_lower(value.ptr[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(".:-_+/=[]", c) == NULL))
            return false;
    }
    return value.len > 0 && value.len <= max;
}

bool
identity_is_id(struct slice id)
{
    return is_word(id, ID_MAX);
}

static bool
is_fit(enum identity_fact fact, struct slice value)
{
    switch (fact) {
    case IDENTITY_PORT:
    case IDENTITY_SERVER_PORT:
    case IDENTITY_TTL:
        return is_number(value);
    case IDENTITY_SESSION:
        return identity_is_id(value);
    case IDENTITY_IP:
    case IDENTITY_SERVER_IP:
    case IDENTITY_NAME:
    case IDENTITY_TRANSPORT:
    case IDENTITY_SERVER_NAME:
        return is_word(value, IDENTITY_VALUE_MAX);
    case IDENTITY_COUNT:
        break;
    }
    unreachable();
}

static enum identity_told
take(struct dialog *d, enum identity_fact fact, struct slice value)
{
    struct slice *kept = &d->told.facts[fact];
    struct slice mark = S("IPV6:");

    if (kept->len > 0)
        return IDENTITY_AGAIN;
    if (slice_equal_nocase(value, S("[UNAVAILABLE]")) ||
        slice_equal_nocase(value, S("[TEMPUNAVAIL]")))
        return IDENTITY_UNKNOWN;
    bool is_address = fact == IDENTITY_IP || fact == IDENTITY_SERVER_IP;
    if (is_address && slice_has_prefix_nocase(value, mark))
        value = slice_drop(value, mark.len);
    if (!is_fit(fact, value))
        return IDENTITY_BAD;
    if (!arena_copy(d->arena, value, kept))
        d->fault = FAULT_RESOURCES;
    return IDENTITY_TAKEN;
}

enum identity_told
identity_take_imap(struct dialog *d, struct slice key, struct slice value)
{
    for (unsigned i = 0; i < IDENTITY_COUNT; i++) {
        if (names[i].imap != NULL && slice_spells(key, names[i].imap))
            return take(d, (enum identity_fact)i, value);
    }
    return IDENTITY_UNKNOWN;
}

enum identity_told
identity_take_attribute(struct dialog *d, struct slice name, struct slice value)
{
    for (unsigned i = 0; i < IDENTITY_COUNT; i++) {
        if (slice_spells(name, names[i].attribute))
            return take(d, (enum identity_fact)i, value);
    }
    return IDENTITY_UNKNOWN;
}

/* "NAME=value" */
static enum identity_told
take_argument(struct dialog *d, struct slice value, bool is_xtext)
{
    char text[IDENTITY_VALUE_MAX];
    size_t len;

    if (slice_find(value, '=') == value.len)
        return IDENTITY_BAD;
    struct slice name = slice_cut(&value, '=');
    if (!is_xtext)
        return identity_take_attribute(d, name, value);
    if (value.len > sizeof text || !xtext_decode(value, text, &len))
        return IDENTITY_BAD;
    return identity_take_attribute(d, name, (struct slice){text, len});
}

enum identity_told
identity_take_arguments(struct dialog *d, struct slice arguments, bool is_xtext)
{
    enum identity_told result = IDENTITY_UNKNOWN;

    while (arguments.len > 0) {
        struct slice argument = slice_cut(&arguments, ' ');
        if (argument.len == 0)
            continue;
        enum identity_told one = take_argument(d, argument, is_xtext);
        if (one == IDENTITY_AGAIN || one == IDENTITY_BAD)
            return one;
        if (one == IDENTITY_TAKEN)
            result = one;
    }
    return result;
}

bool
identity_is_wanted(const struct dialog *d, bool offered)
{
    return d->forward == FORWARD_ALWAYS ||
           (d->forward == FORWARD_OFFERED && offered);
}
