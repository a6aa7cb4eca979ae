/* proto.h -- what a mail protocol must be able to do to be proxied.
 *
 * A protocol is a constant table of functions over a `struct dialog`.  It
 * sees bytes and writes bytes: no sockets, timers, TLS or Lua, so every
 * protocol can be driven from a spec.  To add one (managesieve, lmtp),
 * write proto/<name>.c and list it in proto/registry.c; nothing above this
 * directory changes. */
#pragma once

#include "base/types.h"

struct dialog;

/* What a protocol asks of the session once it has handled one unit. */
enum ask {
    ASK_INPUT,    /* nothing: show me the next command or reply */
    ASK_STARTTLS, /* go-ahead is written: switch this side to TLS */
    ASK_AUTH,     /* dialog->credentials is complete: ask the policy */
    ASK_VERIFIER, /* SCRAM: dialog->credentials tells whose verifier is wanted;
                     sasl_verify and SAY_CHALLENGE go on */
    ASK_WRONG,    /* SCRAM: the client does not know the password */
    ASK_DENIED,   /* the client has answered SAY_DENIAL: its refusal is due */
    ASK_HELO,     /* SMTP: dialog->envelope.helo is set, answer is pending */
    ASK_MAIL,     /* SMTP without AUTH: envelope.mail is set */
    ASK_RCPT,     /* SMTP without AUTH: envelope.rcpt is set */
    ASK_IDENTITY, /* a trusted peer told who the client is: dialog->told has
                     more in it; the answer is pending */
    ASK_SPLICE,   /* upstream has accepted the login; its answer is in
                     dialog->to_client */
    ASK_REFUSE,   /* upstream said no; dialog->reply tells how */
    ASK_CLOSE,    /* this side said goodbye or spoke nonsense; what must be
                     said about it is written; dialog->fault says why */
};

/* Things the gateway says to a client, in whatever words the protocol uses. */
enum say {
    SAY_GREETING,
    SAY_GO_AHEAD,  /* continue with the literal that was announced */
    SAY_PROCEED,   /* yes to the command that ASK_HELO, ASK_MAIL,
                      ASK_IDENTITY stood for */
    SAY_CHALLENGE, /* what sasl_verify has left */
    SAY_DENIAL,    /* first why a token is refused, as SASL has it: the client
                      answers that (ASK_DENIED) before it hears SAY_REFUSAL */
    SAY_REFUSAL,   /* dialog->refusal: wrong credentials, try later, ... */
    SAY_FAULT,     /* as nginx tells a temporary failure: the last words */
    SAY_MALFORMED, /* frame_command found PARSE_BAD: the last words */
    SAY_BYE,       /* the gateway closes: dialog->refusal.text says why */
};

struct proto {
    const char *name;  /* "imap": in logs, in hooks, in configuration */
    uint16_t port;     /* STARTTLS or plain */
    uint16_t port_tls; /* TLS from the first byte */

    /* Finds the first whole command (client) or reply (upstream) in `in`.
     * The limits are dialog->settings->command_max and `reply_max`. */
    enum parse (*frame_command)(struct dialog *d, struct slice in,
                                struct slice *command);
    enum parse (*frame_reply)(struct dialog *d, struct slice in,
                              struct slice *reply);

    /* Handles one unit and appends any answer to dialog->to_client or
     * dialog->to_upstream.  The slice is dead once the function returns:
     * what must live on is copied to the arena. */
    enum ask (*on_command)(struct dialog *d, struct slice command);
    enum ask (*on_reply)(struct dialog *d, struct slice reply);

    /* The upstream is on TLS now, as ASK_STARTTLS wanted: goes on from there.
     * Nothing that it said in clear counts any more. */
    enum ask (*on_upstream_secured)(struct dialog *d);

    /* Appends to dialog->to_client what the gateway wants said. */
    void (*say)(struct dialog *d, enum say what);
};

#define PROTOCOLS_MAX 8

/* The protocol called `name`, or NULL. */
const struct proto *proto_find(struct slice name);
/* The one with that number, from 0; NULL: there are no more. */
const struct proto *proto_at(size_t number);
size_t proto_number(const struct proto *p);
