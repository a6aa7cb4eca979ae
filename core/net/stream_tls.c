#include "net/stream_tls.h"

#include "base/slice.h"
#include "net/tls_bio.h"
#include "net/tls_error.h"
#include "net/tls_link.h"

#include <errno.h>
#include <ev.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_link *
tls_link_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

void
tls_link_fail(struct tls_link *l, const char *format, ...)
{
    char text[512];
    va_list arguments;

    if (l->failure != NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    l->failure = xstrndup(text, strlen(text));
}

static enum io
fail(struct tls_link *l, int error)
{
    l->dead = true;
    ERR_clear_error();
    errno = error;
    return IO_ERROR;
}

static enum io
broken(struct tls_link *l, int error)
{
    tls_link_fail(l, "%s",
                  error != 0 ? strerror(error) : "the connection is lost");
    return fail(l, error != 0 ? error : ECONNRESET);
}

static enum io
wait_for(struct stream *s, unsigned events, unsigned usual)
{
    s->wants = events & ~usual;
    return IO_AGAIN;
}

/* Why a call did not succeed.  `usual` is what its caller waits for anyway. */
static enum io
outcome(struct stream *s, int result, unsigned usual)
{
    struct tls_link *l = s->tls;
    int error = errno;

    s->wants = 0;
    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(s, EV_READ, usual);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(s, EV_WRITE, usual);
    case SSL_ERROR_WANT_X509_LOOKUP:
        return wait_for(s, 0, usual);
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SYSCALL:
        return broken(l, error);
    default:
        tls_link_fail(l, "%s", tls_error_words());
        return fail(l, EPROTO);
    }
}

static enum io
refuse_dead(void)
{
    errno = EPROTO;
    return IO_ERROR;
}

/* Sends what is left of close_notify, then FIN. */
static void
go_on_closing(struct stream *s)
{
    struct tls_link *l = s->tls;

    ERR_clear_error();
    int result = SSL_shutdown(l->ssl);
    bool later =
        result < 0 && SSL_get_error(l->ssl, result) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
    if (later) {
        s->wants |= EV_WRITE;
        return;
    }
    l->closing = false;
    l->closed = true;
    (void)shutdown(s->fd, SHUT_WR);
}

/* The identity has been shown. */
static void
drop_identity(struct tls_link *l)
{
    tls_identity_unref(l->identity);
    l->identity = NULL;
}

/* What the upstream did not like may have been its own session: Dovecot, when
 * it asks for certificates, fails at those that it has given out, and leaves
 * without a word. */
static void
forget_session(struct tls_link *l)
{
    int error = errno;

    if (l->offered && !l->untrusted)
        tls_client_context_stumble(l);
    else
        tls_client_context_forget(l);
    errno = error;
}

static enum io
tls_handshake(struct stream *s)
{
    struct tls_link *l = s->tls;

    if (l->up)
        return IO_DONE;
    if (l->dead)
        return refuse_dead();
    ERR_clear_error();
    int result = SSL_do_handshake(l->ssl);
    if (result != 1) {
        enum io io = outcome(s, result, 0);
        if (io == IO_EOF)
            tls_link_fail(l, "the peer left during the handshake");
        if (io != IO_AGAIN && l->client != NULL)
            forget_session(l);
        return io;
    }
    s->wants = 0;
    if (l->client != NULL && !tls_client_context_confirm(l))
        return fail(l, EPROTO);
    drop_identity(l);
    l->up = true;
    l->kernel = BIO_get_ktls_send(SSL_get_wbio(l->ssl)) == 1;
    /* The peer's first words may have come along with its Finished. */
    l->more = SSL_has_pending(l->ssl) == 1;
    return IO_DONE;
}

/* Reads until `size` bytes are there or nothing more is at hand. */
static enum io
read_records(struct stream *s, char *into, size_t size, size_t *moved)
{
    struct tls_link *l = s->tls;
    size_t n;

    do {
        ERR_clear_error();
        int result = SSL_read_ex(l->ssl, into + *moved, size - *moved, &n);
        if (result != 1)
            return outcome(s, result, EV_READ);
        *moved += n;
    } while (*moved < size && SSL_has_pending(l->ssl) == 1);
    return IO_DONE;
}

static enum io
tls_read(struct stream *s, char *into, size_t size, size_t *moved)
{
    struct tls_link *l = s->tls;

    require(l->up || l->dead);
    l->more = false;
    if (l->dead)
        return refuse_dead();
    s->wants = 0;
    enum io io = read_records(s, into, size, moved);
    if (l->closing && !l->dead)
        go_on_closing(s);
    if (*moved == 0)
        return io;
    /* An end or a failure is told by the next call; nothing else tells it. */
    l->more = io == IO_EOF || io == IO_ERROR ||
              (io == IO_DONE && SSL_has_pending(l->ssl) == 1);
    return IO_DONE;
}

/* Past OpenSSL 3.0, which would remember where the bytes of a write that has
 * to wait were, and not look where they are when it is repeated. */
static enum io
write_to_kernel(struct stream *s, struct slice bytes, size_t *moved)
{
    ssize_t n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return broken(s->tls, errno);
    s->wants = 0;
    if (n <= 0)
        return IO_AGAIN;
    *moved = (size_t)n;
    return IO_DONE;
}

static enum io
tls_write(struct stream *s, struct slice bytes, size_t *moved)
{
    struct tls_link *l = s->tls;

    require(l->up || l->dead);
    if (l->dead || l->closing || l->closed)
        return refuse_dead();
    if (l->kernel)
        return write_to_kernel(s, bytes, moved);
    ERR_clear_error();
    int result = SSL_write_ex(l->ssl, bytes.ptr, bytes.len, moved);
    if (result == 1) {
        s->wants = 0;
        return IO_DONE;
    }
    enum io io = outcome(s, result, EV_WRITE);
    return io == IO_EOF ? broken(l, EPIPE) : io;
}

static void
tls_shutdown_write(struct stream *s)
{
    struct tls_link *l = s->tls;

    if (l->closing || l->closed)
        return;
    if (l->dead || !l->up) {
        (void)shutdown(s->fd, SHUT_WR);
        return;
    }
    l->closing = true;
    go_on_closing(s);
}

static void
peer_free(struct tls_peer *peer)
{
    if (peer == NULL)
        return;
    free(peer->name);
    free(peer->pins);
    free(peer);
}

static void
link_free(struct tls_link *l)
{
    SSL_free(l->ssl);
    drop_identity(l);
    tls_server_context_unref(l->server);
    tls_client_context_unref(l->client);
    peer_free(l->peer);
    free(l->sni);
    free(l->failure);
    free(l);
}

static void
tls_close(struct stream *s)
{
    struct tls_link *l = s->tls;

    if (l->up && !l->dead && !l->closed) {
        ERR_clear_error();
        (void)SSL_shutdown(l->ssl);
    }
    /* Else OpenSSL would call the session unfit to be resumed. */
    if (!l->dead)
        SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    link_free(l);
    ERR_clear_error();
    (void)close(s->fd);
}

static bool
tls_has_more(const struct stream *s)
{
    const struct tls_link *l = s->tls;

    return l->more;
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .handshake = tls_handshake,
    .has_more = tls_has_more,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
};

/* Upgrades `s`; false when memory is short. */
static struct tls_link *
start(struct stream *s, SSL_CTX *ctx)
{
    struct tls_link *l;

    require(stream_is_plain(s));
    ERR_clear_error();
    l = xcalloc(1, sizeof *l);
    l->fd = s->fd;
    l->ssl = SSL_new(ctx);
    s->ops = &tls_ops;
    s->tls = l;
    s->wants = 0;
    l->dead = l->ssl == NULL || SSL_set_app_data(l->ssl, l) != 1 ||
              !tls_bio_attach(l);
    if (l->dead)
        tls_link_fail(l, "out of memory");
    return l;
}

bool
stream_start_tls_server(struct stream *s, struct tls_server_context *c)
{
    struct tls_link *l = start(s, tls_server_context_ctx(c));

    l->server = tls_server_context_ref(c);
    if (l->dead)
        return false;
    SSL_set_accept_state(l->ssl);
    return true;
}

bool
stream_start_tls_client(struct stream *s, struct tls_client_context *c,
                        const struct tls_target *target)
{
    struct tls_link *l = start(s, tls_client_context_ctx(c));

    l->client = tls_client_context_ref(c);
    if (l->dead)
        return false;
    SSL_set_connect_state(l->ssl);
    l->dead = !tls_client_context_aim(l, target);
    ERR_clear_error();
    return !l->dead;
}

static struct tls_link *
link_of(const struct stream *s)
{
    require(s->tls != NULL);
    return s->tls;
}

void
stream_ask_certificate(struct stream *s)
{
    link_of(s)->asks = true;
}

bool
stream_asks_certificate(const struct stream *s)
{
    return link_of(s)->asking;
}

void
stream_show(struct stream *s, struct tls_identity *identity)
{
    struct tls_link *l = link_of(s);

    drop_identity(l);
    l->identity = identity != NULL ? tls_identity_ref(identity) : NULL;
    l->asking = false;
    l->answered = true;
}

void
stream_show_nothing(struct stream *s, struct slice why)
{
    struct tls_link *l = link_of(s);

    l->refused = true;
    tls_link_fail(l, "no certificate for this client%s%.*s",
                  why.len > 0 ? ": " : "", (int)why.len, why.ptr);
    stream_show(s, NULL);
}

struct slice
stream_tls_sni(const struct stream *s)
{
    const struct tls_link *l = link_of(s);

    return l->sni != NULL ? slice_of(l->sni) : (struct slice){NULL, 0};
}

const char *
stream_tls_failure(const struct stream *s)
{
    const struct tls_link *l = link_of(s);

    return l->failure != NULL ? l->failure : "the connection is lost";
}

bool
stream_tls_has_stumbled(const struct stream *s)
{
    return link_of(s)->stumbled;
}

bool
stream_tls_is_untrusted(const struct stream *s)
{
    return link_of(s)->untrusted;
}

bool
stream_tls_is_resumed(const struct stream *s)
{
    return SSL_session_reused(link_of(s)->ssl) == 1;
}
