#include "net/stream.h"

bool
stream_is_open(const struct stream *s)
{
    return s->ops != NULL;
}

bool
stream_is_plain(const struct stream *s)
{
    return s->ops != NULL && s->tls == NULL;
}

enum io
stream_handshake(struct stream *s)
{
    require(s->ops != NULL);
    return s->ops->handshake == NULL ? IO_DONE : s->ops->handshake(s);
}

bool
stream_has_more(const struct stream *s)
{
    return s->ops != NULL && s->ops->has_more != NULL && s->ops->has_more(s);
}

enum io
stream_read(struct stream *s, char *into, size_t size, size_t *moved)
{
    require(s->ops != NULL && size > 0);
    *moved = 0;
    return s->ops->read(s, into, size, moved);
}

enum io
stream_write(struct stream *s, struct slice bytes, size_t *moved)
{
    require(s->ops != NULL && bytes.len > 0);
    *moved = 0;
    return s->ops->write(s, bytes, moved);
}

void
stream_shutdown_write(struct stream *s)
{
    if (s->ops != NULL)
        s->ops->shutdown_write(s);
}

void
stream_close(struct stream *s)
{
    if (s->ops != NULL)
        s->ops->close(s);
    *s = (struct stream){.fd = -1};
}
