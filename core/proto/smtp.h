/* smtp.h -- the parts of SMTP, for the table in smtp.c. */
#pragma once

#include "proto/proto.h"
#include "proto/refusal.h"

/* Answers EHLO or HELO; and notes what the answer of an upstream to EHLO says,
 * for this login and for other sessions: smtp_ehlo.c. */
void smtp_say_hello(struct dialog *d);
void smtp_learn(struct dialog *d, struct slice reply);

/* Frames a reply, of one line or several: smtp_reply.c. */
enum parse smtp_frame_reply(struct dialog *d, struct slice in,
                            struct slice *reply);

/* The code of a framed reply, 200 to 599. */
unsigned smtp_reply_code(struct slice reply);

/* Cuts the next line off a framed reply: its text behind the code. */
bool smtp_reply_next(struct slice *reply, struct slice *text);

/* What a refused login means for the client. */
enum reason smtp_reply_reason(unsigned code);

/* The upstream half: smtp_upstream.c. */
enum ask smtp_on_reply(struct dialog *d, struct slice reply);
enum ask smtp_on_upstream_secured(struct dialog *d);

/* XCLIENT: smtp_xclient.c.  smtp_on_xclient takes it from a trusted peer and
 * leaves the answer to smtp.c.  smtp_xclient_learn notes the attributes that an
 * upstream takes; smtp_xclient_send writes the next command and returns whether
 * there was anything (more) to tell. */
void smtp_xclient_learn(struct dialog *d, struct slice names);
bool smtp_xclient_send(struct dialog *d);
void smtp_xclient_assume(struct dialog *d); /* what it did not say it takes */
enum ask smtp_on_xclient(struct dialog *d, struct slice argument);

/* What EHLO offers to a trusted peer. */
#define SMTP_XCLIENT_OFFER \
    "XCLIENT NAME ADDR PORT DESTADDR DESTPORT SESSION TTL CLIENT-TRANSPORT " \
    "DESTNAME"

/* dialog->upstream_offers */
#define OFFER_PLAIN    (1U << 0)
#define OFFER_LOGIN    (1U << 1)
#define XCLIENT_DONE   (1U << 2) /* at least one was accepted */
#define OFFER_STARTTLS (1U << 3)
#define ON_TLS         (1U << 4) /* STARTTLS was done */
#define OFFER_CRAM_MD5 (1U << 5)
#define OFFER_EXTERNAL (1U << 6)
/* The attributes still to be told, as the table in smtp_xclient.c has them. */
#define XCLIENT_ATTRIBUTE(i) (1U << (8 + (i)))
