#include "proto/imap_capabilities.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/offer.h"

#define WORD_MAX 64

/* What the gateway does itself until the login. */
#define OWN "IMAP4rev1 SASL-IR LITERAL- ID"

/* Never taken over from an upstream: ours to say, or only true between the
 * gateway and the upstream.  A '=' at the end stands for all that follow. */
static const char *const own_business[] = {
    "IMAP4",         "IMAP4rev1",       "SASL-IR",
    "LITERAL+",      "LITERAL-",        "ID",
    "AUTH=",         "STARTTLS",        "COMPRESS=",
    "LOGINDISABLED", "LOGIN-REFERRALS", "MAILBOX-REFERRALS",
    "MULTIPLEX",     "UNAUTHENTICATE",  "XCLIENT",
};

static bool
is_own_business(struct slice word)
{
    size_t count = sizeof own_business / sizeof own_business[0];

    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of(own_business[i]);
        bool family = name.ptr[name.len - 1] == '=';
        if (family ? slice_has_prefix_nocase(word, name)
                   : slice_equal_nocase(word, name))
            return true;
    }
    return false;
}

/* An atom that can stand in a reply (RFC 9051 4.1), and no longer than sane. */
static bool
is_word(struct slice word)
{
    if (word.len == 0 || word.len > WORD_MAX)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (c <= ' ' || c > '~' || strchr("(){%*\"\\]", c) != NULL)
            return false;
    }
    return true;
}

bool
imap_has_capability(struct slice list, struct slice name)
{
    while (list.len > 0) {
        if (slice_equal_nocase(slice_cut(&list, ' '), name))
            return true;
    }
    return false;
}

void
imap_learn(struct dialog *d, struct slice list)
{
    char text[CAPABILITIES_MAX];
    struct slice said = list;
    size_t len = 0;

    if (capabilities_are_of(d->learnt, said))
        return;
    while (list.len > 0) {
        struct slice word = slice_cut(&list, ' ');
        if (!is_word(word) || is_own_business(word))
            continue;
        if (len + 1 + word.len > sizeof text)
            break;
        if (len > 0)
            text[len++] = ' ';
        memcpy(text + len, word.ptr, word.len);
        len += word.len;
    }
    (void)capabilities_learn(d->learnt, said, (struct slice){text, len});
}

static void
tell_mechanisms(struct dialog *d)
{
    char names[OFFER_MECHANISMS_MAX];

    offer_mechanisms(d, names);
    struct slice rest = slice_drop(slice_of(names), 1);
    while (rest.len > 0) {
        struct slice name = slice_cut(&rest, ' ');
        dialog_put_client(d, S(" AUTH="));
        dialog_put_client(d, name);
    }
}

void
imap_tell_capabilities(struct dialog *d)
{
    const struct capabilities *learnt = d->learnt;

    if (d->settings->capabilities.ptr != NULL) {
        dialog_put_client(d, d->settings->capabilities);
    } else {
        dialog_put_client(d, S(OWN));
        if (learnt != NULL && learnt->len > 0) {
            dialog_put_client(d, S(" "));
            dialog_put_client(d, (struct slice){learnt->text, learnt->len});
        }
    }
    tell_mechanisms(d);
    if (d->settings->starttls && !d->secure)
        dialog_put_client(d, S(" STARTTLS"));
    if (!dialog_takes_passwords(d))
        dialog_put_client(d, S(" LOGINDISABLED"));
}
