#include "net/tls_bio.h"

#include "net/tls_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* An unconnected socket can't have it, but the kernel then says ENOTCONN, or
 * ENOENT when it does not know the word. */
static bool
ask_kernel(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    bool offered = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0 ||
                   errno == ENOTCONN;
    (void)close(fd);
    return offered;
}

bool
tls_bio_kernel_offers(void)
{
    static enum { UNKNOWN, NO, YES } answer = UNKNOWN;

    if (answer == UNKNOWN)
        answer = ask_kernel() ? YES : NO;
    return answer == YES;
}

/* The client has nothing to do with a ticket but keep it: it may wait for the
 * greeting, or for 200 ms, in the kernel.  A close_notify goes with the FIN,
 * which comes next. */
static int
flags(const struct tls_link *l)
{
    bool ticket = SSL_get_state(l->ssl) == TLS_ST_SW_SESSION_TICKET &&
                  SSL_version(l->ssl) == TLS1_3_VERSION;
    bool farewell = (SSL_get_shutdown(l->ssl) & SSL_SENT_SHUTDOWN) != 0;

    return ticket || farewell ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}

static int
write_bytes(BIO *bio, const char *bytes, int len)
{
    const struct tls_link *l = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    ssize_t n = send(l->fd, bytes, (size_t)len, flags(l));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int
read_bytes(BIO *bio, char *into, int size)
{
    struct tls_link *l = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    ssize_t n = recv(l->fd, into, (size_t)size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    if (n == 0)
        l->eof = true;
    return (int)n;
}

static long
control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_link *l = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return l->eof;
    return command == BIO_CTRL_FLUSH;
}

/* One for the process: never freed. */
static const BIO_METHOD *
method(void)
{
    static BIO_METHOD *made;

    if (made != NULL)
        return made;
    made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    require(made != NULL && BIO_meth_set_write(made, write_bytes) == 1 &&
            BIO_meth_set_read(made, read_bytes) == 1 &&
            BIO_meth_set_ctrl(made, control) == 1);
    return made;
}

bool
tls_bio_attach(struct tls_link *l)
{
    /* Only OpenSSL's own socket BIO can switch a socket to kTLS. */
    if (tls_bio_kernel_offers())
        return SSL_set_fd(l->ssl, l->fd) == 1;
    BIO *bio = BIO_new(method());
    if (bio == NULL)
        return false;
    BIO_set_data(bio, l);
    BIO_set_init(bio, 1);
    SSL_set_bio(l->ssl, bio, bio);
    return true;
}
