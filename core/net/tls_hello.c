#include "net/tls_hello.h"

#include "base/slice.h"
#include "net/tls_link.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <time.h>

#define SNI_MAX 253

static struct tls_hello *
hello_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

struct tls_tickets *
tls_tickets_of(struct ssl_ctx_st *ctx)
{
    const struct tls_hello *h = SSL_CTX_get_app_data(ctx);

    return h->tickets;
}

/* The name goes to logs and policies: what no host can be called is none. */
static bool
is_host_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '.' && c != '_' && c != ':')
            return false;
    }
    return name.len > 0 && name.len <= SNI_MAX && name.ptr[0] != '.';
}

/* RFC 6066 3: a list of one, with two lengths and a type in front. */
static struct slice
asked_name(SSL *ssl)
{
    const unsigned char *bytes;
    size_t len;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &len) !=
            1 ||
        len < 5 || bytes[2] != TLSEXT_NAMETYPE_host_name)
        return (struct slice){NULL, 0};
    size_t name_len = (size_t)bytes[3] << 8 | bytes[4];
    struct slice name = {(const char *)bytes + 5, name_len};
    if (name_len != len - 5)
        return (struct slice){NULL, 0};
    slice_drop_suffix(&name, S("."));
    return is_host_name(name) ? name : (struct slice){NULL, 0};
}

static void
keep_name(struct tls_link *l, struct slice name)
{
    free(l->sni);
    l->sni = NULL;
    if (name.len == 0)
        return;
    l->sni = xstrndup(name.ptr, name.len);
    for (char *at = l->sni; *at != '\0'; at++)
        *at = ascii_lower(*at);
}

static struct slice
name_of(const struct tls_link *l)
{
    return l->sni != NULL ? slice_of(l->sni) : (struct slice){NULL, 0};
}

/* RFC 6066 3: a session is not resumed under another name, either. */
static bool
set_scope(SSL *ssl, const struct tls_hello *h, struct slice name)
{
    unsigned char text[TLS_SCOPE_SIZE + SNI_MAX], scope[TLS_SCOPE_SIZE];

    memcpy(text, h->scope, TLS_SCOPE_SIZE);
    if (name.len > 0)
        memcpy(text + TLS_SCOPE_SIZE, name.ptr, name.len);
    (void)SHA256(text, TLS_SCOPE_SIZE + name.len, scope);
    return SSL_set_session_id_context(ssl, scope, sizeof scope) == 1;
}

static int
on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const struct tls_hello *h = arg;
    struct tls_link *l = tls_link_of(ssl);

    keep_name(l, asked_name(ssl));
    struct slice name = name_of(l);
    if (!set_scope(ssl, h, name)) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (h->names_only && name.len > 0 &&
        tls_names_find(h->names, name) == NULL) {
        tls_link_fail(l, "no certificate for \"%s\"", l->sni);
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Called for full handshakes only; 1: go on, 0: end it, -1: come again. */
static int
on_certificate(SSL *ssl, void *arg)
{
    const struct tls_hello *h = arg;
    struct tls_link *l = tls_link_of(ssl);

    l->asking = l->asks && !l->answered;
    if (l->asking)
        return -1;
    if (l->refused)
        return 0;
    struct tls_identity *found = l->identity != NULL
                                     ? l->identity
                                     : tls_names_find(h->names, name_of(l));
    if (found == NULL)
        return h->identity != NULL;
    if (l->identity == NULL)
        l->identity = tls_identity_ref(found);
    return tls_identity_show(found, ssl);
}

/* NOLINTBEGIN(readability-non-const-parameter, readability-function-size):
 * OpenSSL says what the parameters are. */

/* The empty answer to the name says that it was understood. */
static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_hello *h = arg;
    const struct tls_link *l = tls_link_of(ssl);

    (void)alert;
    return tls_names_find(h->names, name_of(l)) != NULL ? SSL_TLSEXT_ERR_OK
                                                        : SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 3.2.  A client that speaks another protocol was sent here by
 * someone else (ALPACA). */
static int
on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
        const unsigned char *offered, unsigned offered_len, void *arg)
{
    const struct tls_hello *h = arg;
    struct slice rest = {(const char *)offered, offered_len};
    struct slice own = {(const char *)h->alpn + 1, h->alpn[0]};

    while (rest.len > 0) {
        size_t len = (unsigned char)rest.ptr[0];
        struct slice name = slice_take(slice_drop(rest, 1), len);
        if (slice_equal(name, own)) {
            *chosen = (const unsigned char *)name.ptr;
            *chosen_len = (unsigned char)name.len;
            return SSL_TLSEXT_ERR_OK;
        }
        rest = slice_drop(rest, 1 + len);
    }
    tls_link_fail(tls_link_of(ssl), "the client speaks another protocol");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* NOLINTEND(readability-non-const-parameter, readability-function-size) */

static int
on_status(SSL *ssl, void *arg)
{
    const struct tls_hello *h = arg;
    const struct tls_link *l = tls_link_of(ssl);
    const struct tls_identity *shown =
        l->identity != NULL ? l->identity : h->identity;

    if (shown == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    struct slice staple =
        tls_identity_staple_of(shown, SSL_get_certificate(ssl), time(NULL));
    if (staple.len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    void *copy = OPENSSL_memdup(staple.ptr, staple.len);
    if (copy == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    (void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple.len);
    return SSL_TLSEXT_ERR_OK;
}

/* Sessions in tickets are not ours to keep; OpenSSL tells of those, too. */
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_hello *h = hello_of(ssl);
    unsigned char der[TLS_CACHE_SESSION_MAX], *end = der;
    unsigned id_len;
    const unsigned char *id = SSL_SESSION_get_id(session, &id_len);

    if (SSL_version(ssl) >= TLS1_3_VERSION && h->tickets != NULL)
        return 0;
    int len = i2d_SSL_SESSION(session, NULL);
    if (len <= 0 || (size_t)len > sizeof der)
        return 0;
    (void)i2d_SSL_SESSION(session, &end);
    tls_cache_put(h->cache, (struct slice){(const char *)id, id_len},
                  (struct slice){(const char *)der, (size_t)len},
                  (time_t)(SSL_SESSION_get_time(session) +
                           SSL_SESSION_get_timeout(session)));
    explicit_bzero(der, sizeof der);
    return 0;
}

static SSL_SESSION *
on_get_session(SSL *ssl, const unsigned char *id, int id_len, int *copy)
{
    const struct tls_hello *h = hello_of(ssl);
    char der[TLS_CACHE_SESSION_MAX];
    const unsigned char *at = (const unsigned char *)der;

    *copy = 0;
    size_t len = tls_cache_get(h->cache,
                               (struct slice){(const char *)id, (size_t)id_len},
                               time(NULL), der);
    if (len == 0)
        return NULL;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)len);
    explicit_bzero(der, sizeof der);
    return session;
}

static void
serve_sessions(struct tls_hello *h, SSL_CTX *ctx)
{
    if (h->tickets != NULL) {
        tls_tickets_serve(ctx);
        (void)SSL_CTX_set_num_tickets(ctx, 1);
    } else {
        (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(ctx, h->cache != NULL ? 1 : 0);
    }
    if (h->cache == NULL) {
        (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        return;
    }
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER |
                                                  SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_sess_set_get_cb(ctx, on_get_session);
}

void
tls_hello_serve(struct tls_hello *h, struct ssl_ctx_st *ctx)
{
    (void)SSL_CTX_set_app_data(ctx, h);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, h);
    SSL_CTX_set_cert_cb(ctx, on_certificate, h);
    (void)SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    (void)SSL_CTX_set_tlsext_servername_arg(ctx, h);
    (void)SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    (void)SSL_CTX_set_tlsext_status_arg(ctx, h);
    if (h->alpn[0] != 0)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, h);
    serve_sessions(h, ctx);
}
