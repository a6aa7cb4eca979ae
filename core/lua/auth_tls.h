/* auth_tls.h -- TLS with the servers that policies ask about logins: auth
 * and Redis servers, databases, directories; what these must prove. */
#pragma once

#include "base/buf.h"
#include "lua/options.h"
#include "net/stream.h"
#include "session/config.h"

struct auth_tls {
    const struct config *config; /* whose tls_profiles are used; borrowed */
    char *profile, *server_name; /* "": "default", the host asked */
    enum tls_verify verify;
    unsigned char pins[TARGET_PINS_MAX][TLS_PIN_SIZE];
    size_t pin_count;
    struct tls_identity *identity; /* shown instead of the profile's; borrowed,
                                      or NULL */
};

void auth_tls_init(struct auth_tls *t);
void auth_tls_deinit(struct auth_tls *t);

/* Reads `profile`, `server_name`, `verify` and `pin`; raises. */
void auth_tls_read(const struct options *o, struct auth_tls *t);

/* Raises, beginning with `what`, if there is no such profile. */
void auth_tls_require(lua_State *L, const struct auth_tls *t, const char *what);
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

/* Judges a handshake that another library has made; false with words. */
struct ssl_st;
bool auth_tls_check(const struct auth_tls *t, const char *host,
                    struct ssl_st *ssl, struct error *err) MUST_USE;
