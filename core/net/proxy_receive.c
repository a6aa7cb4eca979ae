#include "net/proxy_receive.h"

#include "base/slice.h"

#include <errno.h>
#include <sys/socket.h>

#define V2_HEAD 16

/* How many of the bytes `next`, which follow `seen`, surely belong to the
 * header: up to the line's end in version 1, the length told in version 2. */
static size_t
share(struct slice seen, struct slice next)
{
    char first = *(seen.len > 0 ? seen.ptr : next.ptr);

    if (first != '\r') {
        size_t at = slice_find(next, '\n');
        return at < next.len ? at + 1 : next.len;
    }
    size_t total = V2_HEAD;
    if (seen.len >= V2_HEAD)
        total += (size_t)(unsigned char)seen.ptr[14] << 8 |
                 (size_t)(unsigned char)seen.ptr[15];
    size_t missing = total > seen.len ? total - seen.len : 0;
    return next.len < missing ? next.len : missing;
}

/* Takes what is there of the header. */
static enum io
take(int fd, struct buf *seen)
{
    size_t room;
    char *at = buf_reserve(seen, PROXY_HEADER_MAX, &room);

    if (at == NULL)
        return IO_ERROR;
    ssize_t n = recv(fd, at, room, MSG_PEEK);
    if (n == 0)
        return IO_EOF;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERROR;
    size_t mine = share(buf_bytes(seen), (struct slice){at, (size_t)n});
    if (mine == 0 || recv(fd, at, mine, 0) != (ssize_t)mine)
        return IO_ERROR;
    buf_filled(seen, mine);
    return IO_DONE;
}

enum io
proxy_receive(int fd, struct buf *seen, struct proxy_header *header)
{
    for (;;) {
        size_t len;
        enum io io = take(fd, seen);
        if (io != IO_DONE)
            return io;
        switch (proxy_header_parse(buf_bytes(seen), header, &len)) {
        case PARSE_DONE:
            return IO_DONE;
        case PARSE_MORE:
            break;
        case PARSE_PROMPT:
        case PARSE_BAD:
            return IO_ERROR;
        }
    }
}
