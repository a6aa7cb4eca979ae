/* regex.h -- regular expressions in the syntax of Perl, with bounds.
 *
 * What PCRE2 is asked can't take longer than a moment or more memory than a
 * little, whatever the pattern: each start is tried in so many steps, and
 * between some starts the clock is looked at.  Compiled patterns are kept, the
 * last hundred of a process. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/list.h"
#include "base/types.h"

#define REGEX_SUBJECT_MAX ((size_t)1 << 20)

struct regex;

struct regexes { /* of a process, in the order of their last use */
    struct list all;
    size_t count;
};

void regexes_init(struct regexes *r);
void regexes_deinit(struct regexes *r);

/* Compiled now or before; lives until the next call.  `letters` are options:
 * i, m, s, x as in Perl, a: only at the place where it begins, u: UTF-8, D: a
 * name may stand twice.  NULL with words. */
struct regex *regex_get(struct regexes *r, struct slice pattern,
                        struct slice letters, struct error *err) MUST_USE;

size_t regex_groups(const struct regex *x); /* besides the whole */

/* The groups that have names; false: there are no more. */
bool regex_name(const struct regex *x, size_t i, const char **name,
                size_t *group);

/* Where a group was found; `from` is SIZE_MAX where it was not. */
struct regex_span {
    size_t from, to;
};

enum regex_outcome { REGEX_FOUND, REGEX_NONE, REGEX_FAILED };

/* Looks from byte `from` on; `spans` has room for the groups and the whole,
 * which comes first.  REGEX_FAILED with words: a bound was reached, or the
 * subject is no UTF-8. */
enum regex_outcome regex_find(struct regex *x, struct slice subject,
                              size_t from, struct regex_span *spans,
                              struct error *err) MUST_USE;
