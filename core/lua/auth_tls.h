/* auth_tls.h -- TLS with auth and Redis servers: what they must prove. */
#pragma once

#include "base/buf.h"
#include "net/stream.h"
#include "session/config.h"

struct auth_tls {
    const struct config *config; /* whose tls_profiles are used; borrowed */
    char *profile, *server_name; /* "": "default", the host asked */
    enum tls_verify verify;
    unsigned char pins[TARGET_PINS_MAX][TLS_PIN_SIZE];
    size_t pin_count;
};

void auth_tls_init(struct auth_tls *t);
void auth_tls_deinit(struct auth_tls *t);

/* Sets both; "" stands for the default. */
void auth_tls_name(struct auth_tls *t, const char *profile,
                   const char *server_name);

/* Whether the profile is there. */
bool auth_tls_is_ready(const struct auth_tls *t);

/* Appends all that decides whether a connection may be shared. */
void auth_tls_describe(const struct auth_tls *t, struct buf *out);

/* Begins the handshake with the server at `host`; false when that can't be. */
bool auth_tls_start(const struct auth_tls *t, const char *host, uint16_t port,
                    struct stream *stream) MUST_USE;
