#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/pop3.h"

/* The longest line that servers take here (Dovecot). */
#define LINE_MAX_XCLIENT 1024

bool
pop3_is_xclient_offered(struct slice greeting)
{
    return slice_has_prefix_nocase(greeting, S("+OK [XCLIENT]"));
}

/* What comes from names in certificates and TLS must not end the value. */
static bool
is_fit(struct slice value)
{
    return value.len > 0 && !has_control(value) &&
           slice_find(value, ' ') == value.len;
}

bool
pop3_xclient_tell(struct dialog *d, bool offered)
{
    size_t len = sizeof "XCLIENT\r\n" - 1;

    if (!identity_is_wanted(d, offered))
        return false;
    dialog_put_upstream(d, S("XCLIENT"));
    for (unsigned i = 0; i < IDENTITY_COUNT; i++) {
        struct slice name = slice_of(identity_attribute((enum identity_fact)i));
        struct slice value = d->identity.facts[i];
        size_t more = 2 + name.len + value.len;
        if (i == IDENTITY_NAME || !is_fit(value) ||
            len + more > LINE_MAX_XCLIENT)
            continue;
        len += more;
        dialog_tell_upstream(d, " %.*s=%.*s", (int)name.len, name.ptr,
                             (int)value.len, value.ptr);
    }
    dialog_put_upstream(d, S("\r\n"));
    return true;
}

bool
pop3_xoip_tell(struct dialog *d)
{
    struct slice ip = d->identity.facts[IDENTITY_IP];

    if (!d->settings->xoip || d->forward == FORWARD_OFF || !is_fit(ip))
        return false;
    dialog_tell_upstream(d, "XOIP %.*s\r\n", (int)ip.len, ip.ptr);
    return true;
}

enum ask
pop3_on_xclient(struct dialog *d, struct slice argument)
{
    dialog_forget(d);
    switch (identity_take_arguments(d, argument, false)) {
    case IDENTITY_TAKEN:
        return ASK_IDENTITY;
    case IDENTITY_UNKNOWN:
        dialog_put_client(d, S("+OK\r\n"));
        return ASK_INPUT;
    case IDENTITY_AGAIN:
    case IDENTITY_BAD:
        break;
    }
    d->errors++;
    dialog_put_client(d, S("-ERR invalid XCLIENT\r\n"));
    return ASK_INPUT;
}
