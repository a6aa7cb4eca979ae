/* json_writer.h -- writes one JSON value, member after member, into a buffer.
 *
 * Commas are its business, texts are escaped and cut.  What did not fit sets
 * `full`; then the buffer holds no JSON. */
#pragma once

#include "base/buf.h"

struct json_writer {
    struct buf *out;
    bool comma; /* something stands before the next member */
    bool full;
};

/* Members of an object; `name` NULL: elements of a list, or the value itself.
 * Names are constant words. */
void json_begin(struct json_writer *w, const char *name, char bracket);
void json_end(struct json_writer *w, char bracket);
void json_text(struct json_writer *w, const char *name, struct slice value);
void json_number(struct json_writer *w, const char *name, double value);
void json_flag(struct json_writer *w, const char *name, bool value);
void json_null(struct json_writer *w, const char *name);

/* A text that is never cut. */
void json_whole(struct json_writer *w, const char *name, struct slice value);

/* Whether `name` needs no escaping. */
bool json_is_word(const char *name);

/* A text that is left out if it is empty. */
void json_given(struct json_writer *w, const char *name, struct slice value);

/* A value that is JSON already. */
void json_raw(struct json_writer *w, const char *name, struct slice value);
