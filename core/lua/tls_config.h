/* tls_config.h -- the `tls` sections of moongate.lua become TLS contexts. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "lua/certificates.h"
#include "lua/policy_lua.h"
#include "lua/source.h"
#include "session/config.h"

#include <lua.h>

/* What the sections need besides themselves. */
struct tls_building {
    lua_State *L;
    struct source *source;   /* the PEM files */
    const struct host *host; /* ticket secret and session cache */
    struct arena *arena;
    struct certificates *certificates; /* those that sections name */
    bool stapling;                     /* the section around wants it */
    char *digest; /* 64 bytes that each file read goes into, or NULL */
};

/* Reads `listen`'s `tls` section, if there is one, into `l`; the context is a
 * reference that tls_config_forget gives back.  false with words. */
bool tls_config_read(const struct tls_building *b, int listen,
                     struct listener_config *l, struct error *err) MUST_USE;
void tls_config_forget(struct listener_config *l);

/* Reads the gateway's `certificates` into `c`, which holds a reference to each
 * until tls_certificates_forget, after a failure, too. */
bool tls_certificates_read(const struct tls_building *b, int gateway,
                           struct config *c, struct error *err) MUST_USE;
void tls_certificates_forget(struct config *c);

/* A profile of `upstream_tls`: the context, a reference of the caller's.
 * `table` is its section.  NULL with words. */
struct tls_client_context *tls_profile_new(const struct tls_building *b,
                                           int table,
                                           struct error *err) MUST_USE;

/* What `table` says, as 64 bytes; the files that it names are not looked at,
 * see tls_building. */
void tls_profile_digest(const struct tls_building *b, int table,
                        char digest[64]);
