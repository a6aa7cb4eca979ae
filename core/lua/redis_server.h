/* redis_server.h -- which Redis server a pool is of, and how to be let in:
 * redis://[user[:password]@]host[:port][/database], rediss:// for TLS, or
 * unix:/path. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"
#include "base/types.h"

#define REDIS_SENTINELS_MAX  16
#define REDIS_CREDENTIAL_MAX 4096
#define REDIS_DATABASE_MAX   1000000

struct redis_place {
    char host[256]; /* for dial.h: a name, an IP literal, "unix:/path" */
    uint16_t port;
};

struct redis_login {
    struct buf user, password; /* "": none */
};

struct redis_server {
    char name[512]; /* the URL without user and password, for the log */
    struct redis_place place;
    bool tls;
    struct redis_login login;
    unsigned database;
    struct redis_place sentinels[REDIS_SENTINELS_MAX];
    size_t sentinel_count; /* 0: the server is at `place` */
    char master[256];      /* the name that Sentinels know it by */
    struct redis_login sentinel_login;
};

void redis_server_init(struct redis_server *s);
void redis_server_deinit(struct redis_server *s); /* wipes */

/* Reads a URL into `s`; without a host if `hostless`, which is for Sentinels.
 * No error tells of the password. */
bool redis_server_parse(struct redis_server *s, struct slice url, bool hostless,
                        struct error *err) MUST_USE;

/* "host", "host:port", "[::1]:port", "unix:/path". */
bool redis_place_parse(struct redis_place *p, struct slice text,
                       uint16_t port_default) MUST_USE;

/* Sets `name`, when all else is known. */
void redis_server_name(struct redis_server *s);

/* Hexadecimal; what differs in anything, or in `tls`, has another. */
void redis_server_digest(const struct redis_server *s, struct slice tls,
                         char hex[64]);
