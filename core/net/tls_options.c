#include "net/tls_options.h"

#include "net/tls_bio.h"
#include "net/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Authenticated encryption with forward secrecy: what every mail client of
 * the last ten years can do. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static int
version_number(enum tls_version v, int otherwise)
{
    switch (v) {
    case TLS_VERSION_DEFAULT:
        return otherwise;
    case TLS_VERSION_1_0:
        return TLS1_VERSION;
    case TLS_VERSION_1_1:
        return TLS1_1_VERSION;
    case TLS_VERSION_1_2:
        return TLS1_2_VERSION;
    case TLS_VERSION_1_3:
        return TLS1_3_VERSION;
    }
    unreachable();
}

static bool
set_versions(SSL_CTX *ctx, const struct tls_options *o, struct error *err)
{
    int highest = version_number(o->highest, TLS1_3_VERSION);
    int usual = highest < TLS1_2_VERSION ? highest : TLS1_2_VERSION;
    int lowest = version_number(o->lowest, usual);

    if (lowest > highest)
        return error_set(err, "the lowest version is above the highest");
    if (SSL_CTX_set_min_proto_version(ctx, lowest) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, highest) != 1)
        return tls_error_set(err, "versions");
    return true;
}

static void
set_behaviour(SSL_CTX *ctx)
{
    uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                       SSL_OP_IGNORE_UNEXPECTED_EOF;

    if (tls_bio_kernel_offers())
        options |= SSL_OP_ENABLE_KTLS;
    (void)SSL_CTX_set_options(ctx, options);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_RELEASE_BUFFERS |
                                    SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
}

static bool
set_curves(SSL_CTX *ctx, const char *curves, struct error *err)
{
    char *list = xstrndup(curves, strlen(curves));
    bool ok = SSL_CTX_set1_groups_list(ctx, list) == 1;

    free(list);
    return ok || tls_error_set(err, "curves");
}

bool
tls_options_set(struct ssl_ctx_st *ctx, const struct tls_options *o,
                struct error *err)
{
    ERR_clear_error();
    set_behaviour(ctx);
    if (!set_versions(ctx, o, err))
        return false;
    if (SSL_CTX_set_cipher_list(ctx, o->ciphers ? o->ciphers : CIPHERS) != 1)
        return tls_error_set(err, "ciphers");
    if (o->ciphersuites != NULL &&
        SSL_CTX_set_ciphersuites(ctx, o->ciphersuites) != 1)
        return tls_error_set(err, "ciphersuites");
    return o->curves == NULL || set_curves(ctx, o->curves, err);
}

/* These would open files, which a worker may not. */
static bool
names_a_file(const char *name)
{
    static const char *const all[] = {
        "Certificate",  "PrivateKey",    "ServerInfoFile", "ChainCAFile",
        "ChainCAPath",  "VerifyCAFile",  "VerifyCAPath",   "RequestCAFile",
        "ClientCAFile", "RequestCAPath", "ClientCAPath",   "DHParameters",
        "ChainCAStore", "VerifyCAStore", "RequestCAStore", "ClientCAStore",
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcasecmp(name, all[i]) == 0)
            return true;
    }
    return false;
}

static bool
run(SSL_CONF_CTX *conf, const struct tls_command *c, struct error *err)
{
    if (names_a_file(c->name))
        return error_set(err,
                         "conf_command \"%s\": files are named by "
                         "settings of their own",
                         c->name);
    ERR_clear_error();
    int result = SSL_CONF_cmd(conf, c->name, c->value);
    if (result == 2)
        return true;
    if (result == -2)
        return error_set(err, "conf_command \"%s\": unknown", c->name);
    (void)tls_error_set(err, c->value);
    return error_context(err, "conf_command \"%s\"", c->name);
}

bool
tls_options_run(struct ssl_ctx_st *ctx, const struct tls_options *o,
                bool server, struct error *err)
{
    SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
    bool ok = true;

    require(conf != NULL);
    (void)SSL_CONF_CTX_set_flags(
        conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SHOW_ERRORS |
                  SSL_CONF_FLAG_CERTIFICATE |
                  (server ? SSL_CONF_FLAG_SERVER : SSL_CONF_FLAG_CLIENT));
    SSL_CONF_CTX_set_ssl_ctx(conf, ctx);
    for (size_t i = 0; ok && i < o->command_count; i++)
        ok = run(conf, &o->commands[i], err);
    if (ok && SSL_CONF_CTX_finish(conf) != 1)
        ok = tls_error_set(err, "conf_command");
    SSL_CONF_CTX_free(conf);
    ERR_clear_error();
    return ok;
}
