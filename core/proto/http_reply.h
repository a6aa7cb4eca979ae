/* http_reply.h -- the answer of an HTTP/1.x server, from bytes alone.
 *
 * Strict, as the answer decides who may log in: a field that is folded, has no
 * name or holds a control byte, two ways of telling the body's length, or two
 * lengths, make the whole answer PARSE_BAD.  Every field is kept in the order
 * it came, so that duplicates stay visible. */
#pragma once

#include "base/types.h"

enum http_bounds {
    HTTP_HEAD_MAX = 16384, /* bytes of status line and fields */
    HTTP_FIELDS_MAX = 128,
};

struct http_field {
    struct slice name;
    struct slice value; /* without the blanks around it */
};

enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE,
};

/* Slices point into the bytes that were parsed. */
struct http_reply {
    unsigned status; /* 100..599 */
    unsigned minor;  /* HTTP/1.<minor> */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t field_count;
    enum http_framing framing;
    size_t length;   /* of HTTP_BODY_LENGTH */
    bool keep_alive; /* the server will take another request */
    size_t head_len; /* bytes up to the body */
};

/* Where the search for the end of the head stands; zero to start. */
struct http_head {
    size_t seen;
};

/* Looks for a whole head at the start of `in`, which grows from call to call
 * and may move.  The answer is to a GET: its body follows as `framing` says. */
enum parse http_reply_parse(struct http_head *head, struct slice in,
                            struct http_reply *reply);

/* The value of the field called `name`, in any case; `*count` is how many of
 * them there are, and the value is the last one's. */
struct slice http_reply_field(const struct http_reply *reply, struct slice name,
                              size_t *count);

/* What is left of a body that nobody reads. */
struct http_body {
    enum http_framing framing;
    unsigned step;   /* of a chunk */
    size_t left;     /* bytes of the body or the chunk */
    unsigned digits; /* of a chunk's length so far */
    size_t line;     /* bytes of the chunk's line so far */
};

void http_body_begin(struct http_body *b, const struct http_reply *reply);

/* Skips what of `in` belongs to the body and sets `*used`.  PARSE_DONE at its
 * end (never for HTTP_BODY_UNTIL_CLOSE). */
enum parse http_body_skip(struct http_body *b, struct slice in, size_t *used);
