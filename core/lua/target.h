/* target.h -- an upstream as configurations and policies write it. */
#pragma once

#include "base/error.h"
#include "session/config.h"

/* Reads "host:port", "10.0.0.5:143", "[::1]:143", "unix:/path" or a host
 * alone (port 0: the protocol's own) into `host` and `port`, or "pool:NAME"
 * into `pool`; they stay as they are on failure, and point into `text`. */
bool target_parse(struct slice text, struct target *t, struct error *err);

/* Letters, digits, _ and -, at first a letter or _. */
bool target_is_pool_name(struct slice name);

/* Sets the host alone; checks that it can be one. */
bool target_set_host(struct slice host, struct target *t, struct error *err);

/* Reads "sha256/<base64>", the digest of a public key. */
bool target_parse_pin(struct slice text, unsigned char pin[TLS_PIN_SIZE]);

#define TARGET_TEXT_MAX PLACE_TEXT_MAX

/* "host:port", "[::1]:143" or "unix:/path", in `out`. */
struct slice target_format(const struct target *t, const struct proto *proto,
                           char out[TARGET_TEXT_MAX]);

/* The port that is meant. */
uint16_t target_port(const struct target *t, const struct proto *proto);

/* "off", "starttls", "implicit" */
const char *target_tls_name(enum tls_mode mode);
bool target_tls_mode(struct slice name, enum tls_mode *mode);
