#include "net/tls_tickets.h"

#include "base/random.h"
#include "net/tls_server_context.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_SIZE 16
#define IV_SIZE   16

struct ticket_key {
    unsigned char name[NAME_SIZE];
    unsigned char mac[32];
    unsigned char cipher[32];
    size_t size; /* of the cipher's and the MAC's key: 16 or 32 */
};

/* Of derived keys, the second is of the period before, the third of the next. */
struct tls_tickets {
    struct ticket_key keys[TLS_TICKET_KEYS_MAX];
    size_t count;
    unsigned char secret[TLS_TICKET_SECRET_SIZE];
    unsigned period; /* 0: the keys were given */
    long long now;   /* the period that the keys are for */
};

/* The step that makes one key out of many: HMAC(secret, what period). */
static void
derive_part(const struct tls_tickets *t, char what, long long period,
            unsigned char out[32])
{
    unsigned char text[9] = {(unsigned char)what};
    unsigned len = 0;

    for (int i = 0; i < 8; i++)
        text[1 + i] = (unsigned char)((unsigned long long)period >> (8 * i));
    require(HMAC(EVP_sha256(), t->secret, sizeof t->secret, text, sizeof text,
                 out, &len) != NULL);
}

static void
derive(const struct tls_tickets *t, long long period, struct ticket_key *key)
{
    unsigned char name[32];

    derive_part(t, 'n', period, name);
    memcpy(key->name, name, sizeof key->name);
    derive_part(t, 'm', period, key->mac);
    derive_part(t, 'c', period, key->cipher);
    key->size = 32;
}

static void
refresh(struct tls_tickets *t)
{
    if (t->period == 0)
        return;
    long long now = (long long)time(NULL) / t->period;
    if (now == t->now)
        return;
    derive(t, now, &t->keys[0]);
    derive(t, now - 1, &t->keys[1]);
    derive(t, now + 1, &t->keys[2]);
    t->now = now;
}

/* nginx's layout: 48 bytes are name, cipher, MAC; 80 are name, MAC, cipher. */
static bool
add_given(struct tls_tickets *t, struct slice bytes, struct error *err)
{
    struct ticket_key *key = &t->keys[t->count];
    const char *rest = bytes.ptr + NAME_SIZE;

    if (bytes.len != 48 && bytes.len != 80)
        return error_set(err,
                         "session ticket key %zu has %zu bytes; it must "
                         "have 48 or 80",
                         t->count + 1, bytes.len);
    key->size = (bytes.len - NAME_SIZE) / 2;
    memcpy(key->name, bytes.ptr, NAME_SIZE);
    memcpy(bytes.len == 48 ? key->cipher : key->mac, rest, key->size);
    memcpy(bytes.len == 48 ? key->mac : key->cipher, rest + key->size,
           key->size);
    t->count++;
    return true;
}

static bool
fill(struct tls_tickets *t, const struct tls_ticket_config *config,
     struct error *err)
{
    if (config->key_count > TLS_TICKET_KEYS_MAX)
        return error_set(err, "more than %d session ticket keys",
                         TLS_TICKET_KEYS_MAX);
    for (size_t i = 0; i < config->key_count; i++) {
        if (!add_given(t, config->keys[i].bytes, err))
            return false;
    }
    if (config->key_count > 0)
        return true;
    if (config->secret.bytes.len != TLS_TICKET_SECRET_SIZE)
        return error_set(err,
                         "the secret of session tickets must have %d "
                         "bytes",
                         TLS_TICKET_SECRET_SIZE);
    memcpy(t->secret, config->secret.bytes.ptr, TLS_TICKET_SECRET_SIZE);
    t->period = config->period > 0 ? config->period : 1;
    t->count = 3;
    t->now = -1;
    return true;
}

struct tls_tickets *
tls_tickets_new(const struct tls_ticket_config *config, struct error *err)
{
    struct tls_tickets *t = xcalloc(1, sizeof *t);

    if (fill(t, config, err))
        return t;
    tls_tickets_free(t);
    return NULL;
}

void
tls_tickets_free(struct tls_tickets *t)
{
    if (t == NULL)
        return;
    explicit_bzero(t, sizeof *t);
    free(t);
}

static bool
start(const struct ticket_key *key, const unsigned char *iv,
      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    char digest[] = "SHA256";
    unsigned char mac_key[sizeof key->mac];
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key,
                                          key->size),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const EVP_CIPHER *algorithm =
        key->size == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();

    memcpy(mac_key, key->mac, sizeof mac_key);
    bool ok = EVP_CipherInit_ex2(cipher, algorithm, key->cipher, iv, encrypt,
                                 NULL) == 1 &&
              EVP_MAC_CTX_set_params(mac, parameters) == 1;
    explicit_bzero(mac_key, sizeof mac_key);
    return ok;
}

static int
seal(const struct tls_tickets *t, unsigned char *name, unsigned char *iv,
     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, t->keys[0].name, NAME_SIZE);
    random_bytes(iv, IV_SIZE);
    return start(&t->keys[0], iv, cipher, mac, 1) ? 1 : -1;
}

/* A ticket of an unknown key is not an error: the handshake is a full one. */
static const struct ticket_key *
find(const struct tls_tickets *t, const unsigned char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (memcmp(name, t->keys[i].name, NAME_SIZE) == 0)
            return &t->keys[i];
    }
    return NULL;
}

/* 0: unknown, 1: good, 2: and gets a new one.  Six parameters are OpenSSL's. */
static int /* NOLINTNEXTLINE(readability-function-size) */
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_tickets *t = tls_tickets_of(SSL_get_SSL_CTX(ssl));

    if (t == NULL)
        return encrypt ? -1 : 0;
    refresh(t);
    if (encrypt)
        return seal(t, name, iv, cipher, mac);
    const struct ticket_key *key = find(t, name);
    if (key == NULL)
        return 0;
    if (!start(key, iv, cipher, mac, 0))
        return -1;
    /* RFC 8446 C.4: clients use a ticket of TLS 1.3 but once. */
    return key != &t->keys[0] || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

void
tls_tickets_serve(struct ssl_ctx_st *ctx)
{
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
