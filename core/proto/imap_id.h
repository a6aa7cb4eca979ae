/* imap_id.h -- IMAP ID (RFC 2971): what a client says of itself, and what
 * gateways tell each other of it. */
#pragma once

#include "base/types.h"

struct dialog;

/* Takes the pairs of an ID command, as imap_id_list wrote them.  The first
 * list's are kept in dialog->client_id, but for those that only gateways may
 * set: from a trusted peer those go to dialog->told.  Returns whether anything
 * did.  The dialog's attempt is over by then. */
bool imap_id_take(struct dialog *d, struct slice list);

/* Writes our ID command, if the upstream is to hear it; returns whether. */
bool imap_id_tell(struct dialog *d, bool offered);

/* The tag of that command, never one of another. */
struct slice imap_id_tag(const struct dialog *d);
