#include "net/tls_client_context.h"

#include "base/slice.h"
#include "net/tls_error.h"
#include "net/tls_link.h"
#include "net/tls_resume.h"
#include "net/tls_verify.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>

/* Upstreams may be old: what OpenSSL itself finds good enough. */
#define CIPHERS "DEFAULT"

struct tls_client_context {
    size_t refs;
    SSL_CTX *ctx;
    struct tls_trust *trust;
    struct tls_resume *sessions;
};

static int
on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_link *l = tls_link_of(ssl);

    if (!SSL_SESSION_is_resumable(session))
        return 0;
    tls_resume_put(l->client->sessions, l->peer->key, session);
    return 1;
}

static void
set_sessions(struct tls_client_context *c, size_t max)
{
    c->sessions = tls_resume_new(max);
    if (max == 0) {
        (void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
        return;
    }
    (void)SSL_CTX_set_session_cache_mode(
        c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
}

static bool
fill(struct tls_client_context *c, const struct tls_client_config *config,
     struct error *err)
{
    struct tls_options options = config->options;

    if (options.ciphers == NULL)
        options.ciphers = CIPHERS;
    if (!tls_options_set(c->ctx, &options, err))
        return false;
    if (config->trust != NULL) {
        c->trust = tls_trust_ref(config->trust);
        if (SSL_CTX_set1_verify_cert_store(c->ctx, tls_trust_store(c->trust)) !=
            1)
            return tls_error_set(err, "authorities");
    }
    set_sessions(c, config->sessions_max);
    if (config->identity != NULL &&
        !tls_identity_show_always(config->identity, c->ctx, err))
        return false;
    if (!tls_options_run(c->ctx, &options, false, err))
        return false;
    /* Last: a command such as "VerifyMode" has no say in this. */
    tls_verify_serve(c->ctx);
    return true;
}

struct tls_client_context *
tls_client_context_new(const struct tls_client_config *config,
                       struct error *err)
{
    struct tls_client_context *c = xcalloc(1, sizeof *c);

    c->refs = 1;
    c->ctx = SSL_CTX_new(TLS_client_method());
    require(c->ctx != NULL);
    bool ok = fill(c, config, err);
    ERR_clear_error();
    if (ok)
        return c;
    tls_client_context_unref(c);
    return NULL;
}

struct tls_client_context *
tls_client_context_ref(struct tls_client_context *c)
{
    c->refs++;
    return c;
}

void
tls_client_context_unref(struct tls_client_context *c)
{
    if (c == NULL || --c->refs > 0)
        return;
    SSL_CTX_free(c->ctx);
    tls_trust_unref(c->trust);
    tls_resume_free(c->sessions);
    free(c);
}

struct tls_trust *
tls_client_context_trust(const struct tls_client_context *c)
{
    return c->trust;
}

struct ssl_ctx_st *
tls_client_context_ctx(const struct tls_client_context *c)
{
    return c->ctx;
}

static void
add_part(EVP_MD_CTX *digest, const void *bytes, size_t len)
{
    require(EVP_DigestUpdate(digest, &len, sizeof len) == 1);
    if (len > 0)
        require(EVP_DigestUpdate(digest, bytes, len) == 1);
}

/* A session is only resumed where the same place must prove the same, and sees
 * the same of us: a server may remember in it who we were. */
static void
make_key(struct tls_peer *peer, const struct tls_target *t)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char shown[TLS_IDENTITY_DIGEST];

    require(digest != NULL &&
            EVP_DigestInit_ex2(digest, EVP_sha256(), NULL) == 1);
    add_part(digest, &t->verify, sizeof t->verify);
    add_part(digest, t->name.ptr, t->name.len);
    add_part(digest, t->sni.ptr, t->sni.len);
    add_part(digest, t->place.ptr, t->place.len);
    add_part(digest, t->pins, t->pin_count * TLS_PIN_SIZE);
    if (t->identity != NULL) {
        tls_identity_digest(t->identity, shown);
        add_part(digest, shown, sizeof shown);
    }
    require(EVP_DigestFinal_ex(digest, peer->key, NULL) == 1);
    EVP_MD_CTX_free(digest);
}

static struct tls_peer *
peer_new(const struct tls_target *t)
{
    struct tls_peer *peer = xcalloc(1, sizeof *peer);
    struct slice name = t->name;

    slice_drop_suffix(&name, S("."));
    /* A name that ends early would let another one pass. */
    if (slice_find(name, '\0') != name.len)
        name.len = 0;
    peer->verify = t->verify;
    peer->name = xstrndup(name.ptr, name.len);
    peer->pin_count = t->pin_count;
    peer->pins = xcalloc(t->pin_count, TLS_PIN_SIZE);
    if (t->pin_count > 0)
        memcpy(peer->pins, t->pins, t->pin_count * TLS_PIN_SIZE);
    make_key(peer, t);
    return peer;
}

static bool
is_address(const char *name)
{
    unsigned char raw[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, name, raw) == 1 ||
           inet_pton(AF_INET6, name, raw) == 1;
}

/* RFC 6066 3: no addresses. */
static bool
set_sni(struct tls_link *l, struct slice sni)
{
    const char *name = l->peer->name;

    if (sni.len > 0)
        l->sni = xstrndup(sni.ptr, sni.len);
    else if (name[0] != '\0' && !is_address(name))
        l->sni = xstrndup(name, strlen(name));
    return l->sni == NULL || SSL_set_tlsext_host_name(l->ssl, l->sni) == 1;
}

/* A copy, since OpenSSL lets a session of TLS 1.3 be used but once, which is
 * for the privacy of people; ours serves many connections at a time. */
static bool
offer_session(struct tls_link *l)
{
    SSL_SESSION *kept = tls_resume_get(l->client->sessions, l->peer->key);

    if (kept == NULL)
        return true;
    SSL_SESSION *copy = SSL_SESSION_dup(kept);
    bool ok = copy != NULL && SSL_set_session(l->ssl, copy) == 1;
    SSL_SESSION_free(copy);
    l->offered = ok;
    return ok;
}

static bool
show(struct tls_link *l, const struct tls_identity *identity)
{
    if (identity == NULL || tls_identity_show(identity, l->ssl))
        return true;
    tls_link_fail(l, "our certificate can't be used: %s", tls_error_words());
    return false;
}

bool
tls_client_context_aim(struct tls_link *l, const struct tls_target *target)
{
    l->peer = peer_new(target);
    if (!show(l, target->identity))
        return false;
    if (!tls_verify_expect(l) || !set_sni(l, target->sni)) {
        l->untrusted = true;
        tls_link_fail(l, "no name that the upstream's certificate must have");
        return false;
    }
    return offer_session(l);
}

bool
tls_client_context_confirm(struct tls_link *l)
{
    if (tls_verify_again(l))
        return true;
    tls_client_context_forget(l);
    return false;
}

void
tls_client_context_stumble(struct tls_link *l)
{
    tls_resume_refuse(l->client->sessions, l->peer->key);
    l->stumbled = true;
}

void
tls_client_context_forget(struct tls_link *l)
{
    tls_resume_forget(l->client->sessions, l->peer->key);
}
