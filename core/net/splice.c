#include "net/splice.h"

#include "base/check.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)64 * 1024)
#define PIPE_SIZE  ((size_t)256 * 1024)
#define TURN_MAX   ((size_t)1024 * 1024)

struct pipe {
    int in, out; /* written to, read from; -1 when there is none */
    size_t len;  /* bytes inside */
};

struct splice_pool {
    size_t pipes_max;
    size_t pipes;       /* open: spare, or lent for a turn or longer */
    size_t spare_count; /* empty ones in `spares` */
    struct pipe *spares;
    char block[BLOCK_SIZE];
};

/* Either bytes or a pipe, never both. */
struct splice_held {
    struct pipe pipe;
    char *memory;
    size_t size;         /* of `memory` */
    struct slice unsent; /* the part of `memory` that must still go */
};

/* What one turn works with. */
struct turn {
    struct splice_pool *pool;
    struct channel *channel;
    struct stream *from, *to;
    size_t moved;
};

static const struct pipe no_pipe = {-1, -1, 0};

static void
pipe_close(struct splice_pool *p, struct pipe *pipe)
{
    if (pipe->in < 0)
        return;
    (void)close(pipe->in);
    (void)close(pipe->out);
    *pipe = no_pipe;
    p->pipes--;
}

static bool
pipe_borrow(struct splice_pool *p, struct pipe *pipe)
{
    int fds[2];

    if (p->spare_count > 0) {
        *pipe = p->spares[--p->spare_count];
        return true;
    }
    if (p->pipes >= p->pipes_max || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    /* Past the user's share of pipe memory the kernel keeps it at 64 KiB or
     * less, which works as well, only in more rounds. */
    (void)fcntl(fds[1], F_SETPIPE_SZ, (int)PIPE_SIZE);
    *pipe = (struct pipe){.in = fds[1], .out = fds[0]};
    p->pipes++;
    return true;
}

/* Bytes of one session must never reach another: only an empty pipe is lent
 * again. */
static void
pipe_return(struct splice_pool *p, struct pipe *pipe)
{
    if (pipe->in < 0)
        return;
    if (pipe->len > 0) {
        pipe_close(p, pipe);
        return;
    }
    p->spares[p->spare_count++] = *pipe;
    *pipe = no_pipe;
}

static void
held_free(struct splice_pool *p, struct channel *c)
{
    struct splice_held *held = c->held;

    if (held == NULL)
        return;
    c->held = NULL;
    pipe_return(p, &held->pipe);
    if (held->memory != NULL)
        explicit_bzero(held->memory, held->size);
    free(held->memory);
    free(held);
}

static void
hold_bytes(struct channel *c, struct slice bytes)
{
    struct splice_held *held = xcalloc(1, sizeof *held);

    held->pipe = no_pipe;
    held->memory = xmalloc(bytes.len);
    held->size = bytes.len;
    memcpy(held->memory, bytes.ptr, bytes.len);
    held->unsent = (struct slice){held->memory, bytes.len};
    c->held = held;
}

static void
hold_pipe(struct channel *c, struct pipe *pipe)
{
    struct splice_held *held = xcalloc(1, sizeof *held);

    held->pipe = *pipe;
    *pipe = no_pipe;
    c->held = held;
}

/* Reads what is in `pipe`, `len` bytes, into `into`. */
static void
pipe_drain(struct pipe *pipe, char *into)
{
    size_t done = 0;

    while (pipe->len > 0) {
        ssize_t n = read(pipe->out, into + done, pipe->len);
        if (n < 0 && errno == EINTR)
            continue;
        require(n > 0); /* we alone write to it and counted every byte */
        done += (size_t)n;
        pipe->len -= (size_t)n;
    }
}

/* The destination is full: keeps the pipe, or, when it is the last one that
 * the pool may open, keeps its bytes and gives the pipe back. */
static void
hold_rest(struct turn *t, struct pipe *pipe)
{
    struct splice_held *held;

    if (t->pool->pipes < t->pool->pipes_max || t->pool->spare_count > 0) {
        hold_pipe(t->channel, pipe);
        return;
    }
    held = xcalloc(1, sizeof *held);
    held->size = pipe->len;
    held->memory = xmalloc(held->size);
    held->unsent = (struct slice){held->memory, held->size};
    held->pipe = no_pipe;
    pipe_drain(pipe, held->memory);
    t->channel->held = held;
    pipe_return(t->pool, pipe);
}

static void
count(struct turn *t, size_t n)
{
    t->moved += n;
    t->channel->bytes += n;
}

/* Writes until all is gone or the destination takes no more. */
static enum io
write_bytes(struct turn *t, struct slice *bytes)
{
    while (bytes->len > 0) {
        size_t n = 0;
        enum io io = stream_write(t->to, *bytes, &n);
        if (io != IO_DONE)
            return io;
        count(t, n);
        *bytes = slice_drop(*bytes, n);
    }
    return IO_DONE;
}

/* As write_bytes, from a pipe.  The process ignores SIGPIPE: splice(2) has no
 * flag against it. */
static enum io
write_pipe(struct turn *t, struct pipe *pipe)
{
    while (pipe->len > 0) {
        ssize_t n = splice(pipe->out, NULL, t->to->fd, NULL, pipe->len,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? IO_AGAIN
                                                                : IO_ERROR;
        count(t, (size_t)n);
        pipe->len -= (size_t)n;
    }
    return IO_DONE;
}

static enum splice_state
end_of_source(struct turn *t)
{
    t->channel->eof = true;
    if (!t->channel->shut && !t->channel->last)
        stream_shutdown_write(t->to);
    t->channel->shut = true;
    return SPLICE_ENDED;
}

/* After a read that moved nothing. */
static enum splice_state
source_state(struct turn *t, enum io io)
{
    if (io == IO_EOF)
        return end_of_source(t);
    return io == IO_AGAIN ? SPLICE_IDLE : SPLICE_SOURCE_FAILED;
}

static enum io
fill_pipe(struct turn *t, struct pipe *pipe)
{
    ssize_t n = splice(t->from->fd, NULL, pipe->in, NULL, PIPE_SIZE,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
        pipe->len = (size_t)n;
        return IO_DONE;
    }
    if (n == 0)
        return IO_EOF;
    return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERROR;
}

/* Only ever fills an empty pipe: what is inside has gone out before. */
static enum splice_state
move_by_pipe(struct turn *t, struct pipe *pipe)
{
    while (t->moved < TURN_MAX) {
        enum io io = fill_pipe(t, pipe);
        if (io != IO_DONE)
            return source_state(t, io);
        io = write_pipe(t, pipe);
        if (io == IO_ERROR)
            return SPLICE_DESTINATION_FAILED;
        if (io != IO_DONE) {
            hold_rest(t, pipe);
            return SPLICE_BLOCKED;
        }
    }
    return SPLICE_MORE;
}

/* One block; `*n` is what was read. IO_DONE: all of it went out. */
static enum splice_state
move_block(struct turn *t, size_t *n)
{
    enum io io = stream_read(t->from, t->pool->block, BLOCK_SIZE, n);
    if (io != IO_DONE)
        return source_state(t, io);

    struct slice bytes = {t->pool->block, *n};
    io = write_bytes(t, &bytes);
    if (io == IO_ERROR)
        return SPLICE_DESTINATION_FAILED;
    if (io != IO_DONE) {
        hold_bytes(t->channel, bytes);
        return SPLICE_BLOCKED;
    }
    return SPLICE_MORE;
}

static enum splice_state
move_new(struct turn *t)
{
    bool plain = stream_is_plain(t->from) && stream_is_plain(t->to);
    struct pipe pipe = no_pipe;

    while (t->moved < TURN_MAX) {
        size_t n = 0;
        enum splice_state state = move_block(t, &n);
        if (state != SPLICE_MORE)
            return state;
        /* Of a source that did not fill the block, events tell the rest. */
        if (n < BLOCK_SIZE && !stream_has_more(t->from))
            return SPLICE_IDLE;
        if (n == BLOCK_SIZE && plain && pipe_borrow(t->pool, &pipe)) {
            state = move_by_pipe(t, &pipe);
            pipe_return(t->pool, &pipe);
            return state;
        }
    }
    return SPLICE_MORE;
}

static enum splice_state
move(struct turn *t)
{
    struct splice_held *held = t->channel->held;

    if (held != NULL) {
        enum io io = held->pipe.len > 0 ? write_pipe(t, &held->pipe)
                                        : write_bytes(t, &held->unsent);
        if (io == IO_ERROR)
            return SPLICE_DESTINATION_FAILED;
        if (io != IO_DONE)
            return SPLICE_BLOCKED;
        held_free(t->pool, t->channel);
    }
    return t->channel->eof ? end_of_source(t) : move_new(t);
}

enum splice_state
splice_turn(struct splice_pool *p, struct channel *c, struct stream *from,
            struct stream *to, size_t *moved)
{
    struct turn t = {.pool = p, .channel = c, .from = from, .to = to};
    enum splice_state state = move(&t);

    *moved = t.moved;
    return state;
}

void
splice_push(struct splice_pool *p, struct channel *c, struct slice bytes)
{
    struct splice_held *old = c->held;
    size_t before;

    if (bytes.len == 0)
        return;
    if (old == NULL) {
        hold_bytes(c, bytes);
        return;
    }
    before = old->pipe.len > 0 ? old->pipe.len : old->unsent.len;
    struct splice_held *held = xcalloc(1, sizeof *held);
    held->pipe = no_pipe;
    held->size = before + bytes.len;
    held->memory = xmalloc(held->size);
    held->unsent = (struct slice){held->memory, held->size};
    memcpy(held->memory + before, bytes.ptr, bytes.len);
    if (old->pipe.len > 0)
        pipe_drain(&old->pipe, held->memory);
    else
        memcpy(held->memory, old->unsent.ptr, before);
    held_free(p, c);
    c->held = held;
}

void
splice_end(struct splice_pool *p, struct channel *c)
{
    held_free(p, c);
}

struct splice_pool *
splice_pool_new(size_t pipes_max)
{
    struct splice_pool *p = xmalloc(sizeof *p);

    p->pipes_max = pipes_max;
    p->pipes = 0;
    p->spare_count = 0;
    p->spares = xcalloc(pipes_max, sizeof *p->spares);
    return p;
}

void
splice_pool_free(struct splice_pool *p)
{
    if (p == NULL)
        return;
    while (p->spare_count > 0)
        pipe_close(p, &p->spares[--p->spare_count]);
    explicit_bzero(p->block, sizeof p->block);
    free(p->spares);
    free(p);
}
