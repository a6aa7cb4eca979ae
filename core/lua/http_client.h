/* http_client.h -- libcurl's multi interface on the worker's loop.
 *
 * Names are resolved by net/dns.h, never by libcurl, and redirects are not
 * followed: a policy sees them as what they are.  libcurl reads no file once
 * http_global_init has run. */
#pragma once

#include "base/buf.h"
#include "lua/failure.h"
#include "net/dns.h"

#include <curl/curl.h>
#include <ev.h>

struct http_client; /* one a process: its connections */

struct http_client *http_client_new(struct ev_loop *loop, struct dns *dns);
void http_client_free(struct http_client *c); /* no exchange is under way */

/* Loads what TLS needs from files; once a process, when it starts. */
void http_global_init(void);

/* What to ask; set by the caller, freed with the exchange. */
struct http_query {
    CURLU *url;
    char method[32];
    struct curl_slist *headers; /* wiped when freed */
    struct buf body;
    bool has_body;
    double timeout; /* seconds, for everything */
    size_t max_body;
    bool verify;
    struct buf ca;         /* PEM; empty: the system's */
    char unix_socket[108]; /* connect there, whatever the URL's host; or "" */
};

void http_query_init(struct http_query *q);
void http_query_deinit(struct http_query *q);
/* Appends "name: value"; false if there is no memory. */
bool http_query_header(struct http_query *q, struct slice name,
                       struct slice value);

struct http_result {
    bool ok;
    unsigned status;
    struct slice head; /* the field lines of the answer */
    struct slice body;
    enum failure kind; /* not ok */
    const char *text;
};

struct http_exchange;

/* Called once, never from inside http_exchange_start and never after
 * http_exchange_cancel.  `result` lives during the call. */
typedef void (*http_done_fn)(void *arg, const struct http_result *result);

/* Takes over what is in `query`. */
struct http_exchange *http_exchange_start(struct http_client *c,
                                          struct http_query *query,
                                          http_done_fn done, void *arg);
void http_exchange_cancel(struct http_exchange *x);
