/* offer.h -- lists of what one side offers, as CAPA and EHLO carry them.
 *
 * A list is lines without CR, split by '\n'; a line begins with its keyword.
 * What comes from an upstream is only ever passed on through offer_filter. */
#pragma once

#include "base/types.h"

struct dialog;

/* The next line of `*list`, cut off it; false at its end.  Empty lines are
 * skipped. */
bool offer_next(struct slice *list, struct slice *line);

/* The keyword that `line` begins with: up to a space, or to the '=' of an
 * "AUTH=LOGIN" that old servers write. */
struct slice offer_keyword(struct slice line);

/* Whether a line of `list` begins with `keyword`, in any case. */
bool offer_has(struct slice list, struct slice keyword);

/* Whether `line` may be passed on: printable ASCII, and its keyword not among
 * `dropped`, which ends with a NULL. */
bool offer_may_pass(struct slice line, const char *const *dropped);

/* The lines of `list` that may be passed on, in the arena. */
struct slice offer_filter(struct dialog *d, struct slice list,
                          const char *const *dropped);

/* Writes the mechanisms that the client may use now to `out`, each behind a
 * space: " PLAIN LOGIN". */
#define OFFER_MECHANISMS_MAX 128
void offer_mechanisms(const struct dialog *d, char out[OFFER_MECHANISMS_MAX]);
