#include "lua/http_client.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "lua/spec_world.h"
#include "net/stand_in.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX        65536
#define CONNECTIONS_MAX 64L
#define SYSTEM_CA       "/etc/ssl/certs/ca-certificates.crt"

struct http_client {
    CURLM *multi;
    struct ev_loop *loop;
    struct dns *dns;
    ev_timer timer; /* libcurl's */
};

/* One descriptor that libcurl wants watched. */
struct http_socket {
    ev_io io;
    struct http_client *client;
};

struct http_exchange {
    struct http_client *client;
    struct http_query query;
    struct dns_query *resolving;
    struct curl_slist *addresses;
    CURL *easy;
    ev_timer late; /* hands over a failure to begin, from the loop */
    ev_tstamp ends;
    unsigned status; /* of a rehearsal */
    char host[256];
    uint16_t port;
    struct buf head, body;
    bool too_long;
    enum failure kind;
    char text[CURL_ERROR_SIZE];
    http_done_fn done;
    void *arg;
};

static X509_STORE *system_store; /* what the machine trusts */

void
http_global_init(void)
{
    static bool done;

    if (done)
        return;
    done = true;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        log_error("http: libcurl can't be used");
    system_store = X509_STORE_new();
    if (system_store != NULL &&
        X509_STORE_load_file(system_store, SYSTEM_CA) != 1)
        log_debug("http: no certificates in " SYSTEM_CA);
}

/* --- the end of an exchange --- */

static void
exchange_free(struct http_exchange *x)
{
    dns_cancel(x->resolving);
    ev_timer_stop(x->client->loop, &x->late);
    if (x->easy != NULL) {
        (void)curl_multi_remove_handle(x->client->multi, x->easy);
        curl_easy_cleanup(x->easy);
    }
    curl_slist_free_all(x->addresses);
    http_query_deinit(&x->query);
    buf_deinit(&x->head);
    buf_deinit(&x->body);
    free(x);
}

void
http_exchange_cancel(struct http_exchange *x)
{
    exchange_free(x);
}

static void
finish(struct http_exchange *x, bool ok)
{
    long status = (long)x->status;

    if (ok && x->easy != NULL)
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    struct http_result result = {
        .ok = ok,
        .status = (unsigned)status,
        .head = buf_bytes(&x->head),
        .body = buf_bytes(&x->body),
        .kind = x->kind,
        .text = x->text,
    };
    x->done(x->arg, &result);
    exchange_free(x);
}

static void
fail(struct http_exchange *x, enum failure kind, const char *text)
{
    x->kind = kind;
    if (text != x->text)
        (void)snprintf(x->text, sizeof(x->text), "%s", text);
    finish(x, false);
}

static enum failure
failure_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return FAILURE_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return FAILURE_DNS;
    case CURLE_COULDNT_CONNECT:
        return FAILURE_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return FAILURE_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return FAILURE_CLOSED;
    default:
        return FAILURE_PROTOCOL;
    }
}

/* libcurl would name the host, which was not asked. */
static void
name_socket(struct http_exchange *x)
{
    long why = 0;

    (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &why);
    (void)snprintf(x->text, sizeof(x->text), "%s: %s", x->query.unix_socket,
                   strerror((int)why));
}

static void
ended(struct http_exchange *x, CURLcode code)
{
    if (code == CURLE_COULDNT_CONNECT && x->query.unix_socket[0] != '\0')
        name_socket(x);
    if (x->too_long)
        fail(x, FAILURE_PROTOCOL, "the answer is too long");
    else if (code == CURLE_OK)
        finish(x, true);
    else
        fail(x, failure_of(code),
             x->text[0] != '\0' ? x->text : curl_easy_strerror(code));
}

/* Hands over all that have ended.  Each may start or cancel others. */
static void
deliver(struct http_client *c)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *x = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
        ended((struct http_exchange *)(void *)x, code);
    }
}

/* --- libcurl and the loop --- */

static void
act(struct http_client *c, curl_socket_t fd, int events)
{
    int running;

    (void)curl_multi_socket_action(c->multi, fd, events, &running);
    deliver(c);
}

static void
on_socket(struct ev_loop *loop, ev_io *w, int events)
{
    struct http_socket *s = container_of(w, struct http_socket, io);

    (void)loop;
    act(s->client, w->fd,
        ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
            ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    act(container_of(w, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
    struct http_client *c = arg;
    struct http_socket *s = socket;

    (void)easy;
    if (s != NULL)
        ev_io_stop(c->loop, &s->io);
    if (what == CURL_POLL_REMOVE) {
        free(s);
        return 0;
    }
    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        s->client = c;
        ev_init(&s->io, on_socket);
        (void)curl_multi_assign(c->multi, fd, s);
    }
    ev_io_set(&s->io, fd,
              ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                  ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0));
    ev_io_start(c->loop, &s->io);
    return 0;
}

static int
set_timer(CURLM *multi, long milliseconds, void *arg)
{
    struct http_client *c = arg;

    (void)multi;
    ev_timer_stop(c->loop, &c->timer);
    if (milliseconds >= 0) {
        ev_timer_set(&c->timer, (double)milliseconds / 1000, 0.);
        ev_timer_start(c->loop, &c->timer);
    }
    return 0;
}

struct http_client *
http_client_new(struct ev_loop *loop, struct dns *dns)
{
    struct http_client *c = xcalloc(1, sizeof(*c));

    c->loop = loop;
    c->dns = dns;
    ev_init(&c->timer, on_timer);
    c->multi = curl_multi_init();
    require(c->multi != NULL);
    (void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    (void)curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    (void)curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
    return c;
}

void
http_client_free(struct http_client *c)
{
    (void)curl_multi_cleanup(c->multi);
    ev_timer_stop(c->loop, &c->timer);
    free(c);
}

/* --- one exchange --- */

static size_t
keep(struct http_exchange *x, struct buf *into, const char *bytes, size_t len)
{
    if (buf_append(into, (struct slice){bytes, len}))
        return len;
    x->too_long = true;
    return 0;
}

static size_t
on_body(const char *bytes, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;

    return keep(x, &x->body, bytes, size * count);
}

/* Also called for the heads of 1xx answers: the last head counts. */
static size_t
on_head(const char *bytes, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;

    if (slice_has_prefix((struct slice){bytes, size * count}, S("HTTP/"))) {
        buf_deinit(&x->head);
        return size * count;
    }
    return keep(x, &x->head, bytes, size * count);
}

/* Trusts what the machine trusts, from memory. */
static CURLcode
on_tls(CURL *easy, void *context, void *arg)
{
    (void)easy;
    (void)arg;
    if (system_store != NULL)
        SSL_CTX_set1_cert_store(context, system_store);
    return CURLE_OK;
}

#define SET(option, value) (void)curl_easy_setopt(x->easy, option, value)

static void
set_tls(struct http_exchange *x)
{
    struct slice pem = buf_bytes(&x->query.ca);
    struct curl_blob ca = {(void *)(uintptr_t)pem.ptr, pem.len,
                           CURL_BLOB_NOCOPY};

    SET(CURLOPT_SSL_VERIFYPEER, x->query.verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, x->query.verify ? 2L : 0L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    if (pem.len > 0)
        SET(CURLOPT_CAINFO_BLOB, &ca);
    else
        SET(CURLOPT_SSL_CTX_FUNCTION, on_tls);
}

static void
set_body(struct http_exchange *x)
{
    struct slice body = buf_bytes(&x->query.body);

    if (x->query.has_body) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        SET(CURLOPT_POSTFIELDS, body.ptr);
    }
    if (strcmp(x->query.method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else if (x->query.has_body || strcmp(x->query.method, "GET") != 0)
        SET(CURLOPT_CUSTOMREQUEST, x->query.method);
}

static void
set_options(struct http_exchange *x, double seconds)
{
    SET(CURLOPT_CURLU, x->query.url);
    SET(CURLOPT_PRIVATE, x);
    SET(CURLOPT_ERRORBUFFER, x->text);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_USERAGENT, "moongate/" MOONGATE_VERSION);
    SET(CURLOPT_TIMEOUT_MS, (long)(seconds * 1000) + 1);
    SET(CURLOPT_RESOLVE, x->addresses);
    if (x->query.unix_socket[0] != '\0')
        SET(CURLOPT_UNIX_SOCKET_PATH, x->query.unix_socket);
    SET(CURLOPT_HTTPHEADER, x->query.headers);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, x);
}

/* The addresses are known: libcurl's turn. */
static void
perform(struct http_exchange *x)
{
    double left = x->ends - ev_now(x->client->loop);

    if (left <= 0) {
        fail(x, FAILURE_TIMEOUT, "timed out");
        return;
    }
    x->easy = curl_easy_init();
    require(x->easy != NULL);
    set_options(x, left);
    set_tls(x);
    set_body(x);
    (void)curl_multi_add_handle(x->client->multi, x->easy);
}

/* "host:port:address,address", as CURLOPT_RESOLVE wants it. */
static bool
set_addresses(struct http_exchange *x, const struct addr *addresses,
              size_t count)
{
    struct buf line;
    char ip[ADDR_TEXT_MAX];

    buf_init(&line, 4096);
    bool ok = buf_printf(&line, "%s:%u:", x->host, (unsigned)x->port);
    for (size_t i = 0; ok && i < count && i < 16; i++) {
        bool v6 = addresses[i].any.sa_family == AF_INET6;
        ok = buf_printf(&line, v6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "",
                        addr_format_ip(&addresses[i], ip));
    }
    ok = ok && buf_append(&line, (struct slice){"", 1});
    if (ok)
        x->addresses = curl_slist_append(NULL, buf_bytes(&line).ptr);
    buf_deinit(&line);
    return x->addresses != NULL;
}

static void
on_addresses(void *arg, enum dns_status status, const struct addr *addresses,
             size_t count)
{
    struct http_exchange *x = arg;

    x->resolving = NULL;
    if (status == DNS_TIMEOUT)
        fail(x, FAILURE_TIMEOUT, "the name server did not answer");
    else if (status != DNS_OK || count == 0)
        fail(x, FAILURE_DNS, "the host has no address");
    else if (!set_addresses(x, addresses, count))
        fail(x, FAILURE_DNS, "the addresses can't be used");
    else
        perform(x);
}

static void
on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    struct http_exchange *x = container_of(w, struct http_exchange, late);

    (void)loop;
    (void)events;
    if (x->text[0] != '\0')
        fail(x, FAILURE_PROTOCOL, x->text);
    else
        perform(x);
}

/* The host and port of the URL; false if they are none. */
static bool
read_url(struct http_exchange *x)
{
    char *host = NULL, *port = NULL;

    bool ok =
        curl_url_get(x->query.url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(x->query.url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
            CURLUE_OK &&
        strlen(host) < sizeof(x->host);
    if (ok) {
        (void)snprintf(x->host, sizeof(x->host), "%s", host);
        x->port = (uint16_t)slice_to_size(slice_of(port));
    }
    curl_free(host);
    curl_free(port);
    return ok;
}

static void
on_rehearsed(struct ev_loop *loop, ev_timer *w, int events)
{
    struct http_exchange *x = container_of(w, struct http_exchange, late);

    (void)loop;
    (void)events;
    if (x->text[0] != '\0')
        fail(x, x->kind, x->text);
    else
        finish(x, true);
}

static void
fail_later(struct http_exchange *x, enum failure kind, const char *text)
{
    x->kind = kind;
    (void)snprintf(x->text, sizeof(x->text), "%s", text);
}

/* Under a spec nobody is asked: it says what the answer is, and when. */
static void
rehearse(struct http_exchange *x)
{
    struct spec_http answer = {.ok = false};
    double delay = x->query.timeout;

    spec_world_http(x->client->loop, &x->query, &answer);
    if (answer.silent || answer.delay >= delay) {
        fail_later(x, FAILURE_TIMEOUT, "timed out");
    } else if (!answer.ok) {
        fail_later(x, answer.kind, answer.text);
        delay = answer.delay;
    } else {
        x->status = answer.status;
        delay = answer.delay;
        if (!buf_append(&x->head, answer.head) ||
            !buf_append(&x->body, answer.body))
            fail_later(x, FAILURE_PROTOCOL, "the answer is too long");
    }
    ev_timer_init(&x->late, on_rehearsed, delay, 0.);
    ev_timer_start(x->client->loop, &x->late);
}

/* Resolves the name; an address goes on at the next turn of the loop, since
 * nothing may end from inside http_exchange_start. */
static void
begin(struct http_exchange *x)
{
    struct dns_question question = {
        .name = x->host, .timeout = x->query.timeout, .port = x->port};
    struct addr unused;

    if (!read_url(x))
        (void)snprintf(x->text, sizeof(x->text), "the URL has no host");
    else if (x->query.unix_socket[0] == '\0' &&
             !addr_parse_ip(slice_of(x->host), x->port, &unused)) {
        x->resolving = dns_resolve(x->client->dns, &question, on_addresses, x);
        return;
    }
    ev_timer_start(x->client->loop, &x->late);
}

struct http_exchange *
http_exchange_start(struct http_client *c, struct http_query *query,
                    http_done_fn done, void *arg)
{
    struct http_exchange *x = xcalloc(1, sizeof(*x));

    x->client = c;
    x->query = *query;
    http_query_init(query);
    buf_init(&x->head, HEAD_MAX);
    buf_init(&x->body, x->query.max_body);
    ev_timer_init(&x->late, on_late, 0., 0.);
    x->ends = ev_now(c->loop) + x->query.timeout;
    x->done = done;
    x->arg = arg;
    if (stand_in_of(c->loop) != NULL)
        rehearse(x);
    else
        begin(x);
    return x;
}
