#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
would_block(void)
{
    /* POSIX lets the two differ; Linux does not. */
    return errno == EAGAIN || errno == EINTR;
}

static enum io
plain_read(struct stream *s, char *into, size_t size, size_t *moved)
{
    ssize_t n = recv(s->fd, into, size, 0);

    s->wants = 0;
    if (n > 0) {
        *moved = (size_t)n;
        return IO_DONE;
    }
    if (n == 0)
        return IO_EOF;
    return would_block() ? IO_AGAIN : IO_ERROR;
}

static enum io
plain_write(struct stream *s, struct slice bytes, size_t *moved)
{
    ssize_t n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

    s->wants = 0;
    if (n > 0) {
        *moved = (size_t)n;
        return IO_DONE;
    }
    return would_block() ? IO_AGAIN : IO_ERROR;
}

static void
plain_shutdown_write(struct stream *s)
{
    /* Fails only on a connection that is lost, which the next read tells. */
    (void)shutdown(s->fd, SHUT_WR);
}

static void
plain_close(struct stream *s)
{
    (void)close(s->fd);
}

static const struct stream_ops plain_ops = {
    .read = plain_read,
    .write = plain_write,
    .shutdown_write = plain_shutdown_write,
    .close = plain_close,
};

/* Without them a connection works as well, if not as quickly. */
void
stream_tune(const struct stream *s)
{
    int on = 1;

    if (setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void
stream_open_plain(struct stream *s, int fd)
{
    require(fd >= 0);
    *s = (struct stream){.ops = &plain_ops, .fd = fd};
}
