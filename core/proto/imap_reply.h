/* imap_reply.h -- the parts of one reply of an IMAP server. */
#pragma once

#include "base/types.h"

enum imap_kind {
    IMAP_UNTAGGED, /* "* ..." */
    IMAP_CONTINUE, /* "+ ..." */
    IMAP_TAGGED,
    IMAP_GARBAGE,
};

struct imap_reply {
    enum imap_kind kind;
    struct slice tag;  /* IMAP_TAGGED */
    struct slice word; /* "OK", "NO", "CAPABILITY"; as received */
    struct slice code; /* "UNAVAILABLE", "CAPABILITY IMAP4rev1"; "" if none */
    struct slice rest; /* what follows the word, and the code if any */
};

/* Takes a reply without its last newline apart.  Every slice points into it.
 * Servers may leave out the text behind "+" and "OK". */
void imap_reply_parse(struct slice line, struct imap_reply *reply);
