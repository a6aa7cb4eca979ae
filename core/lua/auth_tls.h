/* auth_tls.h -- TLS with auth servers: what "https" ones must prove. */
#pragma once

#include "base/buf.h"
#include "lua/auth_url.h"
#include "net/stream.h"
#include "session/config.h"

struct auth_tls {
    const struct config *config; /* whose tls_profiles are used; borrowed */
    char *profile, *server_name; /* "": "default", the host of the URL */
    enum tls_verify verify;
    unsigned char pins[TARGET_PINS_MAX][TLS_PIN_SIZE];
    size_t pin_count;
};

void auth_tls_init(struct auth_tls *t);
void auth_tls_deinit(struct auth_tls *t);

/* Whether the profile is there. */
bool auth_tls_is_ready(const struct auth_tls *t);

/* Appends all that decides whether a connection may be shared. */
void auth_tls_describe(const struct auth_tls *t, struct buf *out);

/* Begins the handshake with the server of `url`; false when that can't be. */
bool auth_tls_start(const struct auth_tls *t, const struct auth_url *url,
                    struct stream *stream) MUST_USE;
