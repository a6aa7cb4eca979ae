/* imap_args.h -- the arguments of one whole IMAP command.
 *
 * Each function takes what it reads off the front of `*rest`, which is what
 * stands behind the command's name, without the final newline. */
#pragma once

#include "base/types.h"

struct dialog;

#define ID_PAIRS_MAX 30 /* RFC 2971 3.3; a gateway adds its own to them */
#define ID_PAIRS_OWN 10
#define ID_KEY_MAX   30
#define ID_VALUE_MAX 1024

/* One space, then an atom, a quoted string or a literal, then a space or the
 * end.  The value is in the arena; NUL, CR and LF are never in it.  Atoms may
 * hold any printable byte, as people type passwords. */
bool imap_astring(struct dialog *d, struct slice *rest, struct slice *value);

/* One space, then visible ASCII up to the next space or the end. */
bool imap_word(struct slice *rest, struct slice *word);

/* One space, then NIL or a list of pairs (RFC 2971), and nothing behind it.
 * `*list` is "" or `"name" "value" "other" NIL`, always in quotes. */
bool imap_id_list(struct dialog *d, struct slice rest, struct slice *list);
