/* tls_options.h -- versions, ciphers and curves, the same for both sides. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

struct ssl_ctx_st;

enum tls_version {
    TLS_VERSION_DEFAULT, /* 1.2 as the lowest, 1.3 as the highest */
    TLS_VERSION_1_0,
    TLS_VERSION_1_1,
    TLS_VERSION_1_2,
    TLS_VERSION_1_3,
};

/* A setting of OpenSSL's own (SSL_CONF_cmd), such as "Options" "PrioritizeChaCha". */
struct tls_command {
    const char *name, *value;
};

/* NULL stands for the default everywhere. */
struct tls_options {
    enum tls_version lowest, highest;
    const char *ciphers;                /* up to TLS 1.2, OpenSSL's notation */
    const char *ciphersuites;           /* TLS 1.3 */
    const char *curves;                 /* "X25519:P-256" */
    const struct tls_command *commands; /* applied last, override all else */
    size_t command_count;
};

/* false with words, the setting's name in front. */
bool tls_options_set(struct ssl_ctx_st *ctx, const struct tls_options *o,
                     struct error *err) MUST_USE;

/* The commands of `o`; to be called when all else is set. */
bool tls_options_run(struct ssl_ctx_st *ctx, const struct tls_options *o,
                     bool server, struct error *err) MUST_USE;
