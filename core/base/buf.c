#include "base/buf.h"

#include "base/format.h"
#include "base/spare.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE ((size_t)256)
#define LAST_SIZE  (FIRST_SIZE * 16) /* of those that are kept */

void
buf_init(struct buf *b, size_t cap)
{
    *b = (struct buf){.cap = cap};
}

/* The sizes of nearly all buffers.  They are also filled in threads. */
static _Thread_local struct spare common[] = {
    {.size = FIRST_SIZE},      {.size = FIRST_SIZE * 2},
    {.size = FIRST_SIZE * 4},  {.size = FIRST_SIZE * 8},
    {.size = FIRST_SIZE * 16},
};

/* NULL for any other size. */
static struct spare *
common_of(size_t size)
{
    if (size < FIRST_SIZE || size > LAST_SIZE || (size & (size - 1)) != 0)
        return NULL;
    return &common[__builtin_ctzl(size / FIRST_SIZE)];
}

static char *
take_memory(size_t size)
{
    struct spare *spare = common_of(size);

    return spare != NULL ? spare_take(spare) : xmalloc(size);
}

/* Behind `end` nothing was ever written, or it has been wiped. */
static void
wipe_and_give(struct buf *b)
{
    struct spare *spare = common_of(b->size);

    if (b->memory == NULL)
        return;
    explicit_bzero(b->memory, b->end);
    if (spare != NULL)
        spare_give(spare, b->memory);
    else
        free(b->memory);
}

void
buf_deinit(struct buf *b)
{
    wipe_and_give(b);
    buf_init(b, b->cap);
}

struct slice
buf_bytes(const struct buf *b)
{
    return (struct slice){b->memory == NULL ? "" : b->memory + b->start,
                          b->end - b->start};
}

size_t
buf_len(const struct buf *b)
{
    return b->end - b->start;
}

bool
buf_is_empty(const struct buf *b)
{
    return b->end == b->start;
}

size_t
buf_room(const struct buf *b)
{
    return b->cap - buf_len(b);
}

void
buf_consume(struct buf *b, size_t n)
{
    require(n <= buf_len(b));
    b->start += n;
}

void
buf_discard(struct buf *b, size_t n)
{
    require(n <= buf_len(b));
    if (n > 0)
        explicit_bzero(b->memory + b->start, n);
    b->start += n;
}

/* Moves the unread bytes to the front, and wipes where they came from. */
static void
compact(struct buf *b)
{
    size_t len = buf_len(b);

    if (b->start == 0)
        return;
    memmove(b->memory, b->memory + b->start, len);
    explicit_bzero(b->memory + len, b->end - len);
    b->start = 0;
    b->end = len;
}

static void
grow(struct buf *b, size_t size)
{
    char *memory = take_memory(size);

    if (b->memory != NULL)
        memcpy(memory, b->memory, b->end);
    wipe_and_give(b);
    b->memory = memory;
    b->size = size;
}

static void
get_room(struct buf *b, size_t n)
{
    compact(b);
    size_t size = b->size > 0 ? b->size : FIRST_SIZE;
    while (size < b->end + n)
        size *= 2;
    if (size > b->cap)
        size = b->cap;
    if (size > b->size)
        grow(b, size);
}

/* Makes `n` bytes of room behind the end, if there may be so many. */
static inline bool
make_room(struct buf *b, size_t n)
{
    if (n <= b->size - b->end)
        return true;
    if (n > buf_room(b))
        return false;
    get_room(b, n);
    return true;
}

bool
buf_append(struct buf *b, struct slice bytes)
{
    if (!make_room(b, bytes.len))
        return false;
    if (bytes.len == 0)
        return true;
    memcpy(b->memory + b->end, bytes.ptr, bytes.len);
    b->end += bytes.len;
    return true;
}

bool
buf_vprintf(struct buf *b, const char *format, va_list arguments)
{
    size_t room = b->size - b->end;
    char *at = room > 0 ? b->memory + b->end : NULL;
    va_list again;

    va_copy(again, arguments);
    int len = format_text(at, room, format, again);
    va_end(again);
    if (len >= 0 && (size_t)len < room) {
        b->end += (size_t)len;
        return true;
    }
    if (room > 0) /* it was cut */
        explicit_bzero(at, room);
    if (len < 0 || !make_room(b, (size_t)len + 1))
        return false;
    (void)format_text(b->memory + b->end, (size_t)len + 1, format, arguments);
    b->end += (size_t)len;
    return true;
}

bool
buf_printf(struct buf *b, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    bool fits = buf_vprintf(b, format, arguments);
    va_end(arguments);
    return fits;
}

char *
buf_reserve(struct buf *b, size_t want, size_t *room)
{
    *room = want < buf_room(b) ? want : buf_room(b);
    if (*room == 0 || !make_room(b, *room))
        return NULL;
    return b->memory + b->end;
}

void
buf_filled(struct buf *b, size_t n)
{
    require(n <= b->size - b->end);
    b->end += n;
}
