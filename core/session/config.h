/* config.h -- one generation's configuration as the session layer reads it.
 *
 * Built by lua/config.c from moongate.lua, constant afterwards, counted by
 * reference: a session keeps the one it began with, so a reload never changes
 * a login that is under way. */
#pragma once

#include "base/types.h"
#include "net/addr.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/network.h"
#include "net/tls_client_context.h"
#include "net/tls_server_context.h"
#include "proto/dialog.h"
#include "proto/username.h"
#include "session/pool.h"

enum tls_mode { TLS_OFF, TLS_STARTTLS, TLS_IMPLICIT };

#define TARGET_PINS_MAX 4

/* Where a user goes: a decision's `to{}` or the default of a listener. */
struct target {
    struct slice host; /* name, IP literal or "unix:/path"; empty: none, or
                          what the pool's next member will be */
    uint16_t port;     /* 0: the protocol's own */
    enum tls_mode tls;
    struct slice source;      /* local address to bind, or empty */
    double connect_timeout;   /* seconds; 0: the listener's */
    unsigned proxy_protocol;  /* version of the header sent; 0: none */
    struct slice tls_profile; /* of config->tls_profiles; empty: "default" */
    enum tls_verify verify;
    struct slice server_name; /* in its certificate; empty: `host` */
    unsigned char pins[TARGET_PINS_MAX][TLS_PIN_SIZE];
    size_t pin_count;
    bool distrusted; /* it is not told who the client is */
    bool bare;       /* a mere address: it is spoken to in the way of the target
                        that it stands in for, see session_aim */
    struct slice pool;     /* it is a member of this one; empty: of none */
    struct slice pool_key; /* ... chosen by hash of this; empty: as the pool's
                              `balance` says */
};

/* Whether it says where. */
bool target_is_set(const struct target *t);

/* PROXY headers from in front of this listener. */
struct proxy_settings {
    bool expected; /* nobody is served without one */
    bool lenient;  /* nginx: one from a stranger is read, but not believed;
                      otherwise a stranger is refused */
    struct network *trusted;
    size_t trusted_count;
};

struct limits {
    double login_timeout;       /* accept to spliced, absolute; 60 */
    double handshake_timeout;   /* PROXY header and TLS; 10 */
    double hook_timeout;        /* wall clock of one hook chain; 10 */
    double connect_timeout;     /* 15 */
    double upstream_timeout;    /* LOGIN phase; 30 */
    double idle_timeout;        /* spliced without a byte; 86400 */
    double close_timeout;       /* last bytes; 5 */
    unsigned attempts;          /* failed logins; 3 */
    unsigned errors;            /* protocol errors; 5 */
    unsigned upstream_attempts; /* upstreams tried for one login; 3 */
};

struct listener_config {
    struct slice name;    /* "imaps" */
    struct slice address; /* as configured */
    struct addr only;     /* what every client connects to; len 0: that
                             differs, as where it listens at all addresses */
    const struct proto *proto;
    struct proto_settings settings;
    struct limits limits;
    struct username_settings username;
    struct listen_options socket;
    enum tls_mode tls;
    struct tls_server_context *tls_context; /* the configuration's */
    struct proxy_settings proxy;
    struct network *trusted; /* who may tell that the client is another */
    size_t trusted_count;
    double greeting_delay;  /* SMTP; seconds */
    bool resolve_client;    /* SMTP: reverse name before the greeting */
    double resolve_timeout; /* of each question for it */
    bool refusal_closes;    /* nginx: a refused login ends the session */
    struct target upstream; /* when no policy says where; host empty: none */
    double probe_interval;  /* seconds between capability probes; 0: never */
    unsigned index;         /* position in config->listeners */
};

/* How TLS is spoken with upstreams: `tls_profiles` of the configuration. */
struct tls_profile {
    struct slice name;
    struct tls_client_context *context; /* a reference */
    char digest[64]; /* of its section and of the files that this names */
};

/* A table that all workers share: one entry of `shared`. */
struct dict_config {
    struct slice name; /* a NUL behind it */
    size_t size;       /* bytes; 0: it is in Redis */
};

/* One of `pools`, and how its members are spoken to. */
struct upstream_pool {
    struct pool pool;
    struct target like; /* without a host */
};

struct config {
    unsigned references;
    unsigned generation; /* 1, 2, ... */
    struct listener_config *listeners;
    size_t listener_count;
    struct tls_profile *tls_profiles;
    size_t tls_profile_count;
    struct upstream_pool *pools;
    size_t pool_count;
    struct tls_name *certificates; /* that the `certificate` hook may show */
    size_t certificate_count;
    struct certificates *own;  /* of lua/certificates.h: all of ours */
    struct dict_config *dicts; /* in the order of their names */
    size_t dict_count;
    struct secret scram_secret; /* salts of users that don't exist */
    unsigned scram_iterations;  /* and what these are shown */
    struct dns_options resolver;
    double shutdown_timeout;
    unsigned max_sessions; /* of one worker; 0: by descriptors */
    void *owner;           /* of lua/config.c */
    void (*free)(struct config *c);
};

/* The profile called `name` (empty: "default"), or NULL. */
const struct tls_profile *config_find_profile(const struct config *c,
                                              struct slice name);
/* Its context, or NULL. */
struct tls_client_context *config_tls_profile(const struct config *c,
                                              struct slice name);

/* The pool called `name`, or NULL. */
const struct upstream_pool *config_pool(const struct config *c,
                                        struct slice name);

/* This is the configuration that new sessions get: what other ones listed of
 * pools' members is not listed any more. */
void config_list_members(const struct config *c, struct pools *pools);

/* The entry of `certificates` called `name`, or NULL.  Borrowed. */
struct tls_identity *config_certificate(const struct config *c,
                                        struct slice name);

/* The entry of `shared` called `name`, or NULL. */
const struct dict_config *config_dict(const struct config *c,
                                      struct slice name);

/* The listener of `c` that `l`, of another configuration, has become: the one
 * of its name, if that speaks the same protocol; or NULL. */
const struct listener_config *config_listener(const struct config *c,
                                              const struct listener_config *l);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* frees with the last reference */
