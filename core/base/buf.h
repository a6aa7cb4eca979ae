/* buf.h -- a growing run of bytes that is read from the front.
 *
 * Linear, so that a parser always sees one slice.  It grows by doubling up to
 * `cap` and never past it; whoever appends and finds no room gets `false` and
 * ends the session with END_RESOURCES.  Memory is wiped before it is freed,
 * since a buffer may have held a password. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#include <stdarg.h>

struct buf {
    char *memory;
    size_t start; /* first unread byte */
    size_t end;   /* one past the last byte written */
    size_t size;  /* bytes allocated */
    size_t cap;   /* bytes it may ever hold */
};

/* An empty buffer that may hold up to `cap` bytes; allocates nothing yet. */
void buf_init(struct buf *b, size_t cap);

/* Wipes and frees the memory.  The buffer is as after buf_init. */
void buf_deinit(struct buf *b);

/* The unread bytes; valid until the buffer is next changed. */
struct slice buf_bytes(const struct buf *b);
size_t buf_len(const struct buf *b);
bool buf_is_empty(const struct buf *b);

/* Bytes that can still be appended. */
size_t buf_room(const struct buf *b);

/* Drops `n` unread bytes from the front; `discard` also wipes them. */
void buf_consume(struct buf *b, size_t n);
void buf_discard(struct buf *b, size_t n);

/* Appends; false (and nothing appended) if there is no room. */
bool buf_append(struct buf *b, struct slice bytes) MUST_USE;
bool buf_printf(struct buf *b, const char *format, ...) MUST_USE
    __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *format, va_list arguments) MUST_USE
    __attribute__((format(printf, 2, 0)));

/* Makes at least one byte of room at the end, at most `want`, and returns
 * where and how much in `*room`; NULL when full.  Follow by buf_filled. */
char *buf_reserve(struct buf *b, size_t want, size_t *room);
void buf_filled(struct buf *b, size_t n);
