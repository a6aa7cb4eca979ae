/* imap_login.h -- how the user is logged in at an IMAP server: what is sent.
 *
 * imap_upstream.c reads the replies and calls these; both share the states. */
#pragma once

#include "proto/dialog.h"

/* dialog->upstream_state. */
enum imap_state {
    STATE_GREETING,
    STATE_STARTTLS,   /* STARTTLS was sent */
    STATE_CAPABILITY, /* ours was sent, before the login */
    STATE_USER,       /* waits for "+" to send the user */
    STATE_PASSWORD,   /* waits for "+" to send the password */
    STATE_RESPONSE,   /* waits for "+" to send the SASL response */
    STATE_CHALLENGE,  /* waits for the "+" of CRAM-MD5 */
    STATE_ANSWER,     /* all is sent: the tagged answer comes */
    STATE_AFTERWARDS, /* logged in; ours was sent to learn the new list */
};

/* Bits of dialog->upstream_offers. */
enum imap_offers {
    OFFERS_KNOWN = 1,     /* there was a list before the login */
    OFFERS_NEW_LIST = 2,  /* there was one after the login began */
    OFFERS_IN_ANSWER = 4, /* it is in the tagged OK */
    OFFERS_LITERAL = 8,   /* a "+" may come for a literal sent unasked */
    OFFERS_ID_SENT = 16,  /* our ID is not answered yet */
};

/* The client's tag, so that the answer to it is the answer to the client. */
struct slice imap_login_tag(const struct dialog *d);

/* Chooses LOGIN or AUTHENTICATE and writes as much as may be written at once.
 * Nothing is sent to an upstream that says it would not take it. */
enum ask imap_login_start(struct dialog *d);

/* The upstream said "+ challenge". */
enum ask imap_login_go_on(struct dialog *d, struct slice challenge);
