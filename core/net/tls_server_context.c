#include "net/tls_server_context.h"

#include "base/slice.h"
#include "net/tls_error.h"
#include "net/tls_hello.h"
#include "net/tls_pem.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define SESSION_SECONDS       300
#define CLIENT_CHAIN_MAX_SIZE 32768

struct tls_server_context {
    size_t refs;
    SSL_CTX *ctx;
    struct tls_trust *trust;
    enum tls_client_certificate client_certificate;
    struct tls_hello hello;
};

/* Judging is left for after the handshake, so that the client can be told in
 * words why it is sent away. */
static int
on_verify(int ok, X509_STORE_CTX *x)
{
    (void)ok;
    (void)x;
    return 1;
}

static bool
set_client_certificate(struct tls_server_context *c,
                       const struct tls_server_config *config,
                       struct error *err)
{
    c->client_certificate = config->client_certificate;
    if (config->client_certificate == TLS_CLIENT_CERTIFICATE_OFF)
        return true;
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_verify_depth(
        c->ctx, config->verify_depth > 0 ? config->verify_depth : 1);
    SSL_CTX_set_max_cert_list(c->ctx, CLIENT_CHAIN_MAX_SIZE);
    if (config->trust == NULL)
        return config->client_certificate ==
                   TLS_CLIENT_CERTIFICATE_OPTIONAL_NO_CA ||
               error_set(err, "client certificates need an authority that "
                              "signs them");
    c->trust = tls_trust_ref(config->trust);
    if (SSL_CTX_set1_verify_cert_store(c->ctx, tls_trust_store(c->trust)) != 1)
        return tls_error_set(err, "client certificates");
    tls_trust_announce(c->trust, c->ctx);
    return true;
}

static bool
set_dhparam(SSL_CTX *ctx, struct slice pem, struct error *err)
{
    if (pem.len == 0)
        return true;
    EVP_PKEY *dh = tls_pem_dh(pem, err);
    if (dh == NULL)
        return error_context(err, "dhparam");
    if (SSL_CTX_set0_tmp_dh_pkey(ctx, dh) == 1)
        return true;
    EVP_PKEY_free(dh);
    return tls_error_set(err, "dhparam");
}

static bool
set_alpn(struct tls_hello *h, const char *name, struct error *err)
{
    size_t len = name != NULL ? strlen(name) : 0;

    if (len >= sizeof h->alpn)
        return error_set(err, "alpn: the name is too long");
    h->alpn[0] = (unsigned char)len;
    if (len > 0)
        memcpy(h->alpn + 1, name, len);
    return true;
}

/* A session is good where it was made: at the listener of this name, while it
 * judges clients the same way. */
static void
set_scope(struct tls_hello *h, const struct tls_server_config *config)
{
    struct {
        unsigned char name[SHA256_DIGEST_LENGTH], trust[SHA256_DIGEST_LENGTH];
        uint32_t client_certificate, verify_depth;
    } all = {
        .client_certificate = config->client_certificate,
        .verify_depth = (uint32_t)config->verify_depth,
    };

    (void)SHA256((const unsigned char *)config->name, strlen(config->name),
                 all.name);
    if (config->trust != NULL)
        memcpy(all.trust, tls_trust_digest(config->trust).ptr,
               sizeof all.trust);
    (void)SHA256((const unsigned char *)&all, sizeof all, h->scope);
}

static bool
set_hello(struct tls_server_context *c, const struct tls_server_config *config,
          struct error *err)
{
    struct tls_hello *h = &c->hello;

    h->names_only = config->names_only;
    h->cache = config->cache;
    h->names = tls_names_new(config->names, config->name_count);
    set_scope(h, config);
    if (!set_alpn(h, config->alpn, err))
        return false;
    if (config->tickets.on) {
        h->tickets = tls_tickets_new(&config->tickets, err);
        if (h->tickets == NULL)
            return false;
    }
    if (config->identity != NULL) {
        if (!tls_identity_show_always(config->identity, c->ctx, err))
            return false;
        h->identity = tls_identity_ref(config->identity);
    }
    tls_hello_serve(h, c->ctx);
    return true;
}

static bool
fill(struct tls_server_context *c, const struct tls_server_config *config,
     struct error *err)
{
    unsigned timeout = config->session_timeout;

    if (!tls_options_set(c->ctx, &config->options, err) ||
        !set_dhparam(c->ctx, config->dhparam, err) ||
        !set_client_certificate(c, config, err) || !set_hello(c, config, err))
        return false;
    if (config->prefer_server_ciphers)
        (void)SSL_CTX_set_options(c->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_timeout(c->ctx, timeout > 0 ? timeout : SESSION_SECONDS);
    (void)SSL_CTX_set_max_early_data(c->ctx, 0);
    (void)SSL_CTX_set_session_id_context(c->ctx, c->hello.scope,
                                         sizeof c->hello.scope);
    return tls_options_run(c->ctx, &config->options, true, err);
}

struct tls_server_context *
tls_server_context_new(const struct tls_server_config *config,
                       struct error *err)
{
    struct tls_server_context *c = xcalloc(1, sizeof *c);

    c->refs = 1;
    c->ctx = SSL_CTX_new(TLS_server_method());
    require(c->ctx != NULL);
    bool ok = fill(c, config, err);
    ERR_clear_error();
    if (ok)
        return c;
    tls_server_context_unref(c);
    return NULL;
}

struct tls_server_context *
tls_server_context_ref(struct tls_server_context *c)
{
    c->refs++;
    return c;
}

void
tls_server_context_unref(struct tls_server_context *c)
{
    if (c == NULL || --c->refs > 0)
        return;
    SSL_CTX_free(c->ctx);
    tls_trust_unref(c->trust);
    tls_identity_unref(c->hello.identity);
    tls_names_free(c->hello.names);
    tls_tickets_free(c->hello.tickets);
    free(c);
}

struct ssl_ctx_st *
tls_server_context_ctx(const struct tls_server_context *c)
{
    return c->ctx;
}

enum tls_client_certificate
tls_server_context_client_certificate(const struct tls_server_context *c)
{
    return c->client_certificate;
}
