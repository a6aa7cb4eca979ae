#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/offer.h"
#include "proto/smtp.h"

/* Extensions that an upstream's list must not bring in: what belongs to the
 * connection to the upstream alone, and what the gateway would have to do
 * itself before the login. */
static const char *const own[] = {
    "STARTTLS",
    "AUTH",
    "XCLIENT",
    "XFORWARD",
    "XEXCH50",
    "ETRN",
    "ATRN",
    "TURN",
    "VRFY",
    "EXPN",
    "HELP",
    "REQUIRETLS",
    "ENHANCEDSTATUSCODES",
    NULL,
};

/* Only the last line of a reply has no '-', and which is last is known when
 * there is no other. */
struct hello {
    struct dialog *dialog;
    struct slice held;
};

static void
put(struct hello *h, struct slice line)
{
    if (h->held.ptr != NULL)
        dialog_say_line(h->dialog, S("250-"), h->held);
    h->held = line;
}

/* What the administrator wrote: everything that can be said. */
static void
put_configured(struct hello *h, struct slice list)
{
    static const char *const none[] = {NULL};
    struct slice line;

    while (offer_next(&list, &line)) {
        if (offer_may_pass(line, none))
            put(h, line);
    }
}

/* What upstreams were last seen to offer; what nearly all of them do, until
 * one was seen. */
static void
put_computed(struct hello *h)
{
    const struct capabilities *learnt = h->dialog->learnt;
    struct slice list = S("PIPELINING\n8BITMIME");
    struct slice line;

    if (learnt != NULL && learnt->known)
        list = (struct slice){learnt->text, learnt->len};
    while (offer_next(&list, &line))
        put(h, line);
    put(h, S("ENHANCEDSTATUSCODES"));
}

void
smtp_say_hello(struct dialog *d)
{
    const struct proto_settings *settings = d->settings;
    struct hello h = {.dialog = d};
    char auth[sizeof "AUTH" + OFFER_MECHANISMS_MAX] = "AUTH";

    put(&h, settings->server_name);
    if (d->envelope.ehlo) {
        if (settings->capabilities.ptr != NULL)
            put_configured(&h, settings->capabilities);
        else
            put_computed(&h);
        offer_mechanisms(d, auth + 4);
        if (auth[4] != '\0')
            put(&h, slice_of(auth));
        if (settings->starttls && !d->secure)
            put(&h, S("STARTTLS"));
        if (d->peer_trusted)
            put(&h, S(SMTP_XCLIENT_OFFER));
    }
    dialog_say_line(d, S("250 "), h.held);
}

static void
learn_mechanisms(struct dialog *d, struct slice line)
{
    while (line.len > 0) {
        struct slice name = slice_cut(&line, ' ');
        if (slice_equal_nocase(name, S("PLAIN")))
            d->upstream_offers |= OFFER_PLAIN;
        if (slice_equal_nocase(name, S("LOGIN")))
            d->upstream_offers |= OFFER_LOGIN;
        if (slice_equal_nocase(name, S("CRAM-MD5")))
            d->upstream_offers |= OFFER_CRAM_MD5;
        if (slice_equal_nocase(name, S("EXTERNAL")))
            d->upstream_offers |= OFFER_EXTERNAL;
        enum mechanism m;
        if (mechanism_find(name, &m) && mechanism_has_token(m))
            d->upstream_mechanisms |= MECHANISM_BIT(m);
    }
}

static void
learn_line(struct dialog *d, struct slice line)
{
    struct slice keyword = slice_cut(&line, ' ');

    if (slice_equal_nocase(keyword, S("AUTH")))
        learn_mechanisms(d, line);
    if (slice_equal_nocase(keyword, S("STARTTLS")))
        d->upstream_offers |= OFFER_STARTTLS;
    if (slice_equal_nocase(keyword, S("XCLIENT")))
        smtp_xclient_learn(d, line);
}

/* The lines without code and CR, for the sessions that come after this one;
 * empty and FAULT_RESOURCES at the arena's cap. */
static struct slice
extensions_of(struct dialog *d, struct slice reply)
{
    struct slice line;
    size_t len = 0;

    dialog_begin_attempt(d);
    char *list = arena_alloc(d->arena, reply.len + 1);
    if (list == NULL) {
        d->fault = FAULT_RESOURCES;
        return S("");
    }
    while (smtp_reply_next(&reply, &line)) {
        if (line.len > 0)
            memcpy(list + len, line.ptr, line.len);
        len += line.len;
        list[len++] = '\n';
    }
    return offer_filter(d, (struct slice){list, len}, own);
}

void
smtp_learn(struct dialog *d, struct slice reply)
{
    struct capabilities *learnt = d->learnt;
    unsigned done = d->upstream_offers & (XCLIENT_DONE | ON_TLS);
    struct slice line;

    (void)smtp_reply_next(&reply, &line); /* the upstream's name */
    if (capabilities_are_of(learnt, reply)) {
        d->upstream_offers = done | learnt->offers;
        d->upstream_mechanisms = learnt->mechanisms;
        return;
    }
    d->upstream_offers = 0;
    d->upstream_mechanisms = 0;
    for (struct slice rest = reply; smtp_reply_next(&rest, &line);)
        learn_line(d, line);
    struct slice extensions = extensions_of(d, reply);
    if (d->fault != FAULT_RESOURCES &&
        capabilities_learn(learnt, reply, extensions)) {
        learnt->offers = d->upstream_offers;
        learnt->mechanisms = d->upstream_mechanisms;
    }
    d->upstream_offers |= done;
}
