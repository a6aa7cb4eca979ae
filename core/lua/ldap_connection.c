#include "lua/ldap_connection.h"

#include "base/check.h"
#include "base/slice.h"
#include "net/dial.h"
#include "net/stream_tls.h"

#include <errno.h>
#include <lauxlib.h>
#include <malloc.h>
#include <openldap.h>
#include <stdio.h>
#include <stdlib.h>

enum ldap_state {
    LDAP_DIALS,
    LDAP_SHAKES,
    LDAP_STARTS_TLS,
    LDAP_BINDS_SERVICE,
    LDAP_BINDS_USER,
    LDAP_SEARCHES,
};

struct ldap_conn {
    struct directory_conn base; /* first */
    struct dial *dial;
    struct stream stream;
    LDAP *ld;
    enum ldap_state state;
    bool blocked;    /* a write waits for the socket */
    bool service;    /* it is bound to the service's account */
    bool secure;     /* TLS is up */
    bool too_long;   /* the answer */
    size_t received; /* bytes since the question was asked */
    int message;     /* the id of what was sent last */
};

/* --- memory: libldap keeps passwords in what it allocates --- */

static void *
wiping_malloc(ber_len_t size, void *ctx)
{
    (void)ctx;
    return malloc(size);
}

static void *
wiping_calloc(ber_len_t n, ber_len_t size, void *ctx)
{
    (void)ctx;
    return calloc(n, size);
}

static void
wiping_free(void *p, void *ctx)
{
    (void)ctx;
    if (p != NULL)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *
wiping_realloc(void *p, ber_len_t size, void *ctx)
{
    size_t had = p != NULL ? malloc_usable_size(p) : 0;
    void *moved = malloc(size);

    if (moved == NULL)
        return NULL;
    if (p != NULL)
        memcpy(moved, p, had < size ? had : size);
    wiping_free(p, ctx);
    return moved;
}

void
ldap_global_init(void)
{
    static bool done;
    static BerMemoryFunctions wiping = {wiping_malloc, wiping_calloc,
                                        wiping_realloc, wiping_free};
    LDAP *ld = NULL;

    if (done)
        return;
    done = true;
    (void)ber_set_option(NULL, LBER_OPT_MEMORY_FNS, &wiping);
    (void)setenv("LDAPNOINIT", "1", 1); /* no ldap.conf, no ~/.ldaprc */
    if (ldap_initialize(&ld, NULL) == LDAP_SUCCESS)
        (void)ldap_unbind_ext(ld, NULL, NULL);
}

struct ldap_question *
ldap_question_of(struct directory_question *q)
{
    return container_of(q, struct ldap_question, base);
}

static void
question_free(struct directory_question *base)
{
    struct ldap_question *q = ldap_question_of(base);

    for (size_t i = 0; i < q->entry_count; i++)
        (void)ldap_msgfree(q->entries[i]);
    if (q->texts != NULL)
        explicit_bzero(q->texts, q->texts_size);
    free(q->texts);
    free(q);
}

/* --- the layer below libldap --- */

static struct ldap_conn *
ldap_of(struct directory_conn *conn)
{
    return container_of(conn, struct ldap_conn, base);
}

static int
layer_setup(Sockbuf_IO_Desc *layer, void *arg)
{
    layer->sbiod_pvt = arg;
    return 0;
}

static int
layer_remove(Sockbuf_IO_Desc *layer)
{
    (void)layer;
    return 0;
}

static int
layer_ctrl(Sockbuf_IO_Desc *layer, int option, void *arg)
{
    const struct ldap_conn *c = layer->sbiod_pvt;

    (void)arg;
    return option == LBER_SB_OPT_DATA_READY && stream_has_more(&c->stream);
}

static ber_slen_t
layer_read(Sockbuf_IO_Desc *layer, void *into, ber_len_t size)
{
    struct ldap_conn *c = layer->sbiod_pvt;
    size_t moved = 0;

    switch (stream_read(&c->stream, into, size, &moved)) {
    case IO_DONE:
        c->received += moved;
        if (c->received <= DIRECTORY_BYTES_MAX)
            return (ber_slen_t)moved;
        c->too_long = true;
        errno = EMSGSIZE;
        return -1;
    case IO_AGAIN:
        errno = EAGAIN;
        return -1;
    case IO_EOF:
        return 0;
    case IO_ERROR:
        break;
    }
    return -1;
}

static ber_slen_t
layer_write(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t size)
{
    struct ldap_conn *c = layer->sbiod_pvt;
    size_t moved = 0;

    switch (stream_write(&c->stream, (struct slice){bytes, size}, &moved)) {
    case IO_DONE:
        c->blocked = false;
        return (ber_slen_t)moved;
    case IO_AGAIN:
        c->blocked = true;
        errno = EAGAIN;
        return -1;
    case IO_EOF:
    case IO_ERROR:
        break;
    }
    return -1;
}

static Sockbuf_IO layer = {layer_setup, layer_remove, layer_ctrl,
                           layer_read,  layer_write,  NULL};

/* --- asking --- */

static struct ldap_question *
question_of(const struct ldap_conn *c)
{
    return ldap_question_of(c->base.question);
}

static const struct ldap_settings *
settings_of(const struct ldap_conn *c)
{
    return c->base.directory->settings;
}

/* The connection is lost, or libldap can't go on with it. */
static void
lost(struct ldap_conn *c)
{
    if (c->too_long)
        directory_lost(&c->base, FAILURE_PROTOCOL,
                       "more than 1 MiB in an answer");
    else if (c->secure)
        directory_lost(&c->base, FAILURE_CLOSED, "closed (%s)",
                       stream_tls_failure(&c->stream));
    else
        directory_lost(&c->base, FAILURE_CLOSED, "closed");
}

static void
wait_for(struct ldap_conn *c)
{
    int events = c->blocked ? EV_READ | EV_WRITE : EV_READ;

    directory_watch(&c->base, c->stream.fd, events | (int)c->stream.wants);
}

/* After a call that gives the id of a message. */
static void
sent(struct ldap_conn *c, enum ldap_state state, int result)
{
    c->state = state;
    if (result == LDAP_SUCCESS) {
        wait_for(c);
    } else if (result == LDAP_FILTER_ERROR) { /* nothing was sent */
        wait_for(c);
        directory_fail(c->base.question, FAILURE_PROTOCOL,
                       "search: the filter makes no sense");
        directory_answered(&c->base);
    } else {
        lost(c);
    }
}

static int
bind_as(struct ldap_conn *c, const char *dn, struct slice password)
{
    /* libldap takes it as char *, and only reads. */
    struct berval value = {password.len, (char *)(uintptr_t)password.ptr};

    return ldap_sasl_bind(c->ld, dn, LDAP_SASL_SIMPLE, &value, NULL, NULL,
                          &c->message);
}

static void
bind_service(struct ldap_conn *c)
{
    const struct ldap_settings *s = settings_of(c);

    sent(c, LDAP_BINDS_SERVICE, bind_as(c, s->dn, slice_of(s->password)));
}

static void
bind_user(struct ldap_conn *c)
{
    const struct ldap_question *q = question_of(c);

    c->service = false;
    sent(c, LDAP_BINDS_USER, bind_as(c, q->dn, q->password.bytes));
}

static void
search(struct ldap_conn *c)
{
    struct ldap_question *q = question_of(c);

    q->ld = c->ld;
    sent(c, LDAP_SEARCHES,
         ldap_search_ext(c->ld, q->dn, q->scope, q->filter,
                         q->attributes[0] != NULL ? q->attributes : NULL, 0,
                         NULL, NULL, NULL, q->limit, &c->message));
}

static void
send_question(struct ldap_conn *c)
{
    c->received = 0;
    if (question_of(c)->binds)
        bind_user(c);
    else if (c->service)
        search(c);
    else
        bind_service(c);
}

static void
ldap_ask(struct directory_conn *conn)
{
    send_question(ldap_of(conn));
}

static enum failure
kind_of(int code)
{
    switch (code) {
    case LDAP_BUSY:
    case LDAP_ADMINLIMIT_EXCEEDED:
        return FAILURE_OVERLOAD;
    case LDAP_TIMELIMIT_EXCEEDED:
        return FAILURE_TIMEOUT;
    case LDAP_UNAVAILABLE:
        return FAILURE_CLOSED;
    default:
        return FAILURE_PROTOCOL;
    }
}

/* A server's own words may repeat what was asked; its code does not. */
static void
refused(struct ldap_conn *c, const char *what, int code)
{
    directory_fail(c->base.question, kind_of(code), "%s: %d %s", what, code,
                   ldap_err2string(code));
    directory_answered(&c->base);
}

static void
bound_user(struct ldap_conn *c, int code)
{
    if (code != LDAP_SUCCESS && code != LDAP_INVALID_CREDENTIALS) {
        refused(c, "bind", code);
        return;
    }
    question_of(c)->bound = code == LDAP_SUCCESS;
    directory_answered(&c->base);
}

/* The service's account does not work: nobody's password is wrong. */
static void
bound_service(struct ldap_conn *c, int code)
{
    if (code != LDAP_SUCCESS) {
        refused(c, "bind of the service's account", code);
        return;
    }
    c->service = true;
    search(c);
}

static void
searched(struct ldap_conn *c, int code)
{
    const struct ldap_question *q = question_of(c);
    bool full =
        code == LDAP_SIZELIMIT_EXCEEDED && q->entry_count == (size_t)q->limit;

    if (code == LDAP_SUCCESS || code == LDAP_NO_SUCH_OBJECT || full)
        directory_answered(&c->base);
    else
        refused(c, "search", code);
}

static void start_tls(struct ldap_conn *c);

static void
starts_tls(struct ldap_conn *c, int code)
{
    if (code == LDAP_SUCCESS)
        start_tls(c);
    else
        directory_lost(&c->base, FAILURE_TLS, "StartTLS: %d %s", code,
                       ldap_err2string(code));
}

/* Keeps an entry, frees what is none.  False if there are too many, which the
 * server was told. */
static bool
keep(struct ldap_question *q, LDAPMessage *m)
{
    if (ldap_msgtype(m) != LDAP_RES_SEARCH_ENTRY) {
        (void)ldap_msgfree(m);
        return true;
    }
    if (q->entry_count == (size_t)q->limit) {
        (void)ldap_msgfree(m);
        return false;
    }
    q->entries[q->entry_count++] = m;
    return true;
}

static int
code_of(struct ldap_conn *c, LDAPMessage *m)
{
    int code = LDAP_OTHER;

    if (ldap_parse_result(c->ld, m, &code, NULL, NULL, NULL, NULL, 1) !=
        LDAP_SUCCESS)
        return LDAP_DECODING_ERROR;
    return code;
}

/* Whether more may be read: the question is still under way. */
static bool
take(struct ldap_conn *c, LDAPMessage *m)
{
    int type = ldap_msgtype(m);

    if (c->state == LDAP_SEARCHES && type != LDAP_RES_SEARCH_RESULT) {
        if (keep(question_of(c), m))
            return true;
        directory_lost(&c->base, FAILURE_PROTOCOL,
                       "more entries than were asked for");
        return false;
    }
    int code = code_of(c, m);
    switch (c->state) {
    case LDAP_DIALS:
    case LDAP_SHAKES:
        unreachable();
    case LDAP_STARTS_TLS:
        starts_tls(c, code);
        break;
    case LDAP_BINDS_SERVICE:
        bound_service(c, code);
        break;
    case LDAP_BINDS_USER:
        bound_user(c, code);
        break;
    case LDAP_SEARCHES:
        searched(c, code);
        break;
    }
    return false;
}

static void
read_answers(struct ldap_conn *c)
{
    struct timeval now = {0, 0};
    LDAPMessage *m;
    int got;

    while ((got = ldap_result(c->ld, c->message, LDAP_MSG_ONE, &now, &m)) > 0) {
        if (!take(c, m))
            return;
    }
    if (got < 0)
        lost(c);
    else
        wait_for(c);
}

/* --- connecting --- */

/* Hands the stream to libldap. */
static bool
begin(struct ldap_conn *c)
{
    int version = LDAP_VERSION3;
    Sockbuf *sockbuf;

    if (ldap_init_fd(c->stream.fd, LDAP_PROTO_EXT, "ldap://directory",
                     &c->ld) != LDAP_SUCCESS)
        return false;
    (void)ldap_set_option(c->ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    (void)ldap_set_option(c->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    if (ldap_get_option(c->ld, LDAP_OPT_SOCKBUF, &sockbuf) != LDAP_SUCCESS)
        return false;
    return ber_sockbuf_add_io(sockbuf, &layer, LBER_SBIOD_LEVEL_PROVIDER, c) ==
           0;
}

static void
ask_first(struct ldap_conn *c)
{
    const struct ldap_settings *s = settings_of(c);

    c->service = *s->dn == '\0'; /* as anonymous as it begins */
    send_question(c);
}

static void
shake_hands(struct ldap_conn *c)
{
    switch (stream_handshake(&c->stream)) {
    case IO_DONE:
        c->secure = true;
        if (c->ld == NULL && !begin(c))
            lost(c);
        else
            ask_first(c);
        return;
    case IO_AGAIN:
        directory_watch(&c->base, c->stream.fd, (int)c->stream.wants);
        return;
    case IO_EOF:
    case IO_ERROR:
        directory_lost(&c->base, FAILURE_TLS, "TLS: %s",
                       stream_tls_failure(&c->stream));
        return;
    }
}

static void
start_tls(struct ldap_conn *c)
{
    const struct directory *d = c->base.directory;

    c->state = LDAP_SHAKES;
    if (auth_tls_start(&c->base.question->client->tls, d->host, d->port,
                       &c->stream))
        shake_hands(c);
    else
        directory_lost(&c->base, FAILURE_TLS, "TLS could not be started");
}

static void
on_dialed(void *arg, enum dial_status status, struct stream *stream,
          const struct addr *addr, const char *text)
{
    struct ldap_conn *c = arg;
    enum failure kind = status == DIAL_TIMEOUT ? FAILURE_TIMEOUT
                        : status == DIAL_DNS   ? FAILURE_DNS
                                               : FAILURE_CONNECT;

    (void)addr;
    c->dial = NULL;
    if (status != DIAL_OK) {
        directory_lost(&c->base, kind, "%s", text);
        return;
    }
    c->stream = *stream;
    if (c->base.directory->tls && !settings_of(c)->starttls)
        start_tls(c);
    else if (!begin(c))
        lost(c);
    else if (settings_of(c)->starttls)
        sent(c, LDAP_STARTS_TLS,
             ldap_extended_operation(c->ld, LDAP_EXOP_START_TLS, NULL, NULL,
                                     NULL, &c->message));
    else
        ask_first(c);
}

static void
ldap_open(struct directory_conn *conn)
{
    struct ldap_conn *c = ldap_of(conn);
    const struct directory *d = conn->directory;
    struct dial_request request = {
        .host = d->host, .port = d->port, .timeout = 600};

    c->state = LDAP_DIALS;
    c->stream.fd = -1;
    c->dial =
        dial_start(d->lasting->loop, d->lasting->dns, &request, on_dialed, c);
}

/* An idle connection says nothing, but that it ends. */
static void
look_idle(struct ldap_conn *c)
{
    struct timeval now = {0, 0};
    LDAPMessage *m = NULL;

    c->received = 0;
    int got = ldap_result(c->ld, LDAP_RES_ANY, LDAP_MSG_ONE, &now, &m);
    if (m != NULL)
        (void)ldap_msgfree(m);
    if (got != 0)
        directory_finished(&c->base);
}

static void
ldap_happened(struct directory_conn *conn, int events)
{
    struct ldap_conn *c = ldap_of(conn);

    (void)events;
    if (conn->question == NULL)
        look_idle(c);
    else if (c->state == LDAP_SHAKES)
        shake_hands(c);
    else
        read_answers(c);
}

static struct directory_conn *
ldap_conn_new(void)
{
    struct ldap_conn *c = xcalloc(1, sizeof *c);

    return &c->base;
}

static void
ldap_conn_free(struct directory_conn *conn)
{
    struct ldap_conn *c = ldap_of(conn);

    dial_cancel(c->dial);
    if (c->ld != NULL)
        (void)ldap_unbind_ext(c->ld, NULL, NULL);
    stream_close(&c->stream);
    free(c);
}

static void
settings_free(void *settings)
{
    struct ldap_settings *s = settings;

    free(s->dn);
    explicit_bzero(s->password, strlen(s->password));
    free(s->password);
    free(s);
}

static void
tell(struct directory_question *base, lua_State *L)
{
    const struct ldap_question *q = ldap_question_of(base);

    lua_newtable(L);
    lua_pushstring(L, q->binds ? "bind" : "search");
    lua_setfield(L, -2, "what");
    lua_pushstring(L, q->dn);
    lua_setfield(L, -2, q->binds ? "dn" : "base");
    if (q->binds) {
        lua_pushlstring(L, q->password.bytes.ptr, q->password.bytes.len);
        lua_setfield(L, -2, "password");
        return;
    }
    lua_pushstring(L, q->filter);
    lua_setfield(L, -2, "filter");
    lua_newtable(L);
    for (int i = 0; q->attributes[i] != NULL; i++) {
        lua_pushstring(L, q->attributes[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "attributes");
}

const struct directory_kind ldap_kind = {
    .name = "ldap",
    .conn_new = ldap_conn_new,
    .open = ldap_open,
    .ask = ldap_ask,
    .happened = ldap_happened,
    .conn_free = ldap_conn_free,
    .settings_free = settings_free,
    .question_free = question_free,
    .tell = tell,
};
