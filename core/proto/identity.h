/* identity.h -- who the client is, as gateways tell each other.
 *
 * The same facts go by IMAP ID (x-originating-ip ...), POP3 XCLIENT and SMTP
 * XCLIENT.  They are texts here; the session knows what they mean. */
#pragma once

#include "base/types.h"

struct dialog;

enum identity_fact {
    IDENTITY_IP,          /* the client's address */
    IDENTITY_PORT,        /* and port */
    IDENTITY_NAME,        /* its verified reverse name; SMTP only */
    IDENTITY_SERVER_IP,   /* what it connected to */
    IDENTITY_SERVER_PORT, /* and the port of that */
    IDENTITY_SESSION,     /* the id by which logs join */
    IDENTITY_TTL,         /* gateways that may still follow; finds loops */
    IDENTITY_TRANSPORT,   /* "TLS" or "insecure" */
    IDENTITY_SERVER_NAME, /* the TLS server name that it asked for */
    IDENTITY_COUNT,
};

#define IDENTITY_VALUE_MAX 255
#define IDENTITY_TTL_START 7

/* A fact that is not known is empty. */
struct client_identity {
    struct slice facts[IDENTITY_COUNT];
};

/* When an upstream is told. */
enum forward {
    FORWARD_OFF,
    FORWARD_OFFERED, /* if it offers to be told */
    FORWARD_ALWAYS,  /* without being asked, as nginx does */
};

/* "x-originating-ip", "ADDR", ...; NULL where a protocol has no such fact. */
const char *identity_imap_key(enum identity_fact fact);
const char *identity_attribute(enum identity_fact fact);

/* Whether IMAP ID's `key` is between gateways only: no client sets it, and
 * nobody else's is passed on. */
bool identity_owns_key(struct slice key);

/* Whether `id` may be taken for the id of a session elsewhere. */
bool identity_is_id(struct slice id);

/* What became of a fact that a gateway in front told. */
enum identity_told {
    IDENTITY_TAKEN,
    IDENTITY_UNKNOWN, /* no such fact, or told for unknown */
    IDENTITY_AGAIN,   /* it was told before: each may be once */
    IDENTITY_BAD,     /* not a value of that kind */
};

/* Keeps a fact in dialog->told.  The dialog's attempt is over by then: what is
 * kept lives as long as the session.  Addresses may have SMTP's "IPV6:". */
enum identity_told identity_take_imap(struct dialog *d, struct slice key,
                                      struct slice value);
enum identity_told identity_take_attribute(struct dialog *d, struct slice name,
                                           struct slice value);

/* Takes all of XCLIENT's arguments, "ADDR=192.0.2.7 PORT=4711", whose values
 * are in xtext in SMTP.  IDENTITY_TAKEN if all went well, with at least one of
 * them known; else the worst of what happened. */
enum identity_told identity_take_arguments(struct dialog *d,
                                           struct slice arguments,
                                           bool is_xtext);

/* Whether dialog->identity is to be told to an upstream that offers to hear it,
 * or does not. */
bool identity_is_wanted(const struct dialog *d, bool offered);
