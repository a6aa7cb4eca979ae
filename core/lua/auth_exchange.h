/* auth_exchange.h -- one question to a group of auth servers: which of them,
 * over which connection, and again if that failed. */
#pragma once

#include "base/buf.h"
#include "lua/auth_pool.h"
#include "lua/auth_tls.h"
#include "lua/failure.h"
#include "net/dns.h"

#define AUTH_SERVERS_MAX 16
#define AUTH_EXTRA_MAX   16384

/* Servers that give the same answers, in the order of preference.  One that
 * failed is asked last for a while. */
struct auth_group {
    unsigned references;
    struct lasting *lasting;
    struct ev_loop *loop;
    struct dns *dns;
    struct auth_pool *pools[AUTH_SERVERS_MAX];
    size_t pool_count;
    double timeout;   /* seconds, for one server */
    unsigned retries; /* further tries after the first */
    struct buf extra; /* configured request fields, whole lines */
    bool pass_client_cert;
    bool smtp_login; /* SMTP upstreams are logged in at */
    struct auth_tls tls;
};

struct auth_group *auth_group_new(struct lasting *lasting);
struct auth_group *auth_group_ref(struct auth_group *g);
void auth_group_unref(struct auth_group *g); /* NULL is fine */

struct auth_exchange;

/* What came of it: a whole head, from whatever status; or `reply` NULL, and
 * why the last server did not answer.  Lives during the call. */
struct auth_outcome {
    const struct http_reply *reply;
    enum failure kind;
    const char *text;
    const char *server; /* its URL */
};

/* Called once, never from inside auth_exchange_start and never after
 * auth_exchange_cancel. */
typedef void (*auth_done_fn)(void *arg, const struct auth_outcome *outcome);

/* `fields` is the request from Auth-Method to the empty line; it becomes the
 * exchange's, which wipes it.  `seconds` bounds all tries together. */
struct auth_exchange *auth_exchange_start(struct auth_group *g,
                                          struct buf *fields, double seconds,
                                          auth_done_fn done, void *arg);
void auth_exchange_cancel(struct auth_exchange *e);
