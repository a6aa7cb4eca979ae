/* capabilities.h -- what the upstreams of a listener were last seen to offer.
 *
 * Owned by the worker, shared by the sessions of a listener: their clients are
 * told so before they log in.  An upstream mostly says what the one before it
 * has said, and then there is nothing to learn. */
#pragma once

#include "base/types.h"

#define CAPABILITIES_MAX 1024

struct capabilities {
    char text[CAPABILITIES_MAX]; /* imap: "IDLE UNSELECT ..."; pop3, smtp: lines
                                    split by '\n', without STARTTLS and AUTH */
    size_t len;
    bool known;
    char said[CAPABILITIES_MAX]; /* what the text was learnt from, as it came */
    size_t said_len;             /* 0: not kept */
    unsigned offers, mechanisms; /* SMTP: what else it told, as in a dialog */
};

/* Whether what `said` tells is in `c`, which may be NULL. */
bool capabilities_are_of(const struct capabilities *c, struct slice said);

/* Stores `text`, learnt from `said`, if other sessions can say these bytes to
 * their clients: no control byte but the newline between two lines. */
bool capabilities_learn(struct capabilities *c, struct slice said,
                        struct slice text);
