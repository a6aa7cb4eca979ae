/* redis_reply.h -- what a Redis server answers, read by hiredis under limits
 * of our own: one answer has at most 1 MiB, 10,000 elements, and lists in
 * lists up to hiredis's own bound. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#define REDIS_REPLY_MAX    ((size_t)1 << 20) /* bytes of one answer */
#define REDIS_ELEMENTS_MAX ((size_t)10000)   /* of one answer, all told */
#define REDIS_DEPTH_MAX    8

enum redis_kind {
    REDIS_STRING,
    REDIS_STATUS,
    REDIS_ERROR,
    REDIS_INTEGER,
    REDIS_NIL,
    REDIS_LIST,
};

struct redis_reply {
    enum redis_kind kind;
    struct slice text; /* of a string, a status, an error */
    long long integer;
    struct redis_reply **elements; /* of a list; none is NULL */
    size_t count;
};

void redis_reply_free(struct redis_reply *r); /* wipes; NULL is fine */

/* Whether it is an error that begins with `word`, or any for "". */
bool redis_reply_is_error(const struct redis_reply *r, struct slice word);

struct redis_reader;

struct redis_reader *redis_reader_new(void);
void redis_reader_free(struct redis_reader *r); /* NULL is fine */

/* Bytes have come; false if no more can be made of them. */
bool redis_reader_feed(struct redis_reader *r, struct slice bytes) MUST_USE;

/* The next answer, which becomes the caller's. */
enum parse redis_reader_next(struct redis_reader *r,
                             struct redis_reply **reply) MUST_USE;

/* Nothing has come that is not part of an answer given out. */
bool redis_reader_is_empty(const struct redis_reader *r);

/* Why it is PARSE_BAD. */
const char *redis_reader_problem(const struct redis_reader *r);
