#include "lua/sql_postgres.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/sql_question.h"

#include <lauxlib.h>
#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#define PREPARED_MAX  100
#define ADDRESSES_MAX 8
#define PORT_DEFAULT  5432
#define NOWHERE       "/nonexistent" /* instead of a file in somebody's home */

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };
enum { OID_OID = 26, OID_FLOAT4 = 700, OID_FLOAT8 = 701 };

enum sql_state { SQL_RESOLVES, SQL_CONNECTS, SQL_PREPARES, SQL_RUNS };

struct sql_conn {
    struct directory_conn base; /* first */
    struct dns_query *resolving;
    PGconn *pg;
    enum sql_state state;
    bool believed; /* the handshake of the TLS that is in use */
    char *prepared[PREPARED_MAX];
    size_t prepared_count;
    bool outdated; /* what was prepared makes no sense any more */
};

/* What libpq would take from the environment is not what was configured. */
void
sql_postgres_init(void)
{
    static bool done;
    PQconninfoOption *known;

    if (done)
        return;
    done = true;
    known = PQconninfoParse("postgres://", NULL);
    require(known != NULL);
    for (const PQconninfoOption *o = known; o->keyword != NULL; o++) {
        if (o->envvar != NULL)
            (void)unsetenv(o->envvar);
    }
    PQconninfoFree(known);
    (void)unsetenv("PGDATESTYLE");
    (void)unsetenv("PGTZ");
    (void)unsetenv("PGGEQO");
}

static struct sql_conn *
sql_of(struct directory_conn *conn)
{
    return container_of(conn, struct sql_conn, base);
}

static struct sql_question *
question_of(const struct sql_conn *c)
{
    return sql_question_of(c->base.question);
}

/* libpq's own words, on one line. */
static const char *
words_of(const struct sql_conn *c, char *out, size_t size)
{
    (void)snprintf(out, size, "%s", PQerrorMessage(c->pg));
    for (char *at = out; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ')
            *at = at[1] != '\0' ? ' ' : '\0';
    }
    return out;
}

static void
lost(struct sql_conn *c, enum failure kind)
{
    char text[200];

    directory_lost(&c->base, kind, "%s", words_of(c, text, sizeof text));
}

/* --- asking --- */

static enum failure
kind_of(const char *state)
{
    if (strcmp(state, "57014") == 0)
        return FAILURE_TIMEOUT;
    if (strncmp(state, "53", 2) == 0)
        return FAILURE_OVERLOAD;
    if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)
        return FAILURE_CLOSED;
    return FAILURE_PROTOCOL;
}

/* The server has refused the statement. */
static void
refused(struct sql_conn *c, const PGresult *r)
{
    struct sql_question *q = question_of(c);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    state = state != NULL ? state : "";
    c->outdated |= strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0;
    directory_fail(&q->base, kind_of(state), "%s%s%s", state,
                   text != NULL && !q->statement->secret ? " " : "",
                   text != NULL && !q->statement->secret ? text : "");
}

static size_t
columns_of(const void *row)
{
    return (size_t)PQnfields(row);
}

static const char *
name_of(const void *row, size_t column)
{
    return PQfname(row, (int)column);
}

static bool
value_of(const void *row, size_t column, struct sql_rows *rows,
         struct sql_value *value)
{
    int at = (int)column;
    struct slice text = {PQgetvalue(row, 0, at),
                         (size_t)PQgetlength(row, 0, at)};

    if (PQgetisnull(row, 0, at) != 0)
        return true;
    switch (PQftype(row, at)) {
    case OID_BOOL:
        value->type = SQL_BOOLEAN;
        value->number = *text.ptr == 't';
        return true;
    case OID_FLOAT4:
    case OID_FLOAT8:
        value->type = SQL_NUMBER;
        value->number = strtod(text.ptr, NULL);
        return true;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_OID:
        return sql_rows_integer(rows, value, text);
    default:
        return sql_rows_text(rows, value, text);
    }
}

static const struct sql_reader reader = {columns_of, name_of, value_of};

/* False if the connection can't be used any more. */
static bool
take(struct sql_conn *c, PGresult *r)
{
    struct sql_question *q = question_of(c);
    ExecStatusType status = PQresultStatus(r);

    if (status == PGRES_SINGLE_TUPLE) {
        bool kept = sql_rows_add(&q->rows, &reader, r);
        PQclear(r);
        if (!kept)
            directory_fail(&q->base, FAILURE_PROTOCOL, SQL_TOO_LONG,
                           SQL_ROWS_MAX);
        return kept;
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        const char *count = PQcmdTuples(r);
        q->affected = *count != '\0' ? strtod(count, NULL) : 0;
        PQclear(r);
        return true;
    }
    if (status == PGRES_FATAL_ERROR)
        refused(c, r);
    else
        directory_fail(&q->base, FAILURE_PROTOCOL,
                       "not a statement that can be asked");
    PQclear(r);
    return status == PGRES_FATAL_ERROR;
}

static int
find_prepared(const struct sql_conn *c, const char *query)
{
    for (size_t i = 0; i < c->prepared_count; i++) {
        if (strcmp(c->prepared[i], query) == 0)
            return (int)i;
    }
    return -1;
}

static void
wait_for(struct sql_conn *c)
{
    int left = PQflush(c->pg);

    if (left < 0)
        lost(c, FAILURE_CLOSED);
    else
        directory_watch(&c->base, PQsocket(c->pg),
                        left > 0 ? EV_READ | EV_WRITE : EV_READ);
}

static bool
run(struct sql_conn *c, int number)
{
    const struct sql_statement *s = question_of(c)->statement;
    const char *values[SQL_PARAMETERS_MAX];
    char name[32];

    c->state = SQL_RUNS;
    for (size_t i = 0; i < s->count; i++)
        values[i] = s->parameters[i].text.ptr; /* NULL: NULL */
    (void)snprintf(name, sizeof name, "moongate_%d", number);
    int count = (int)s->count;
    int sent = number >= 0 ? PQsendQueryPrepared(c->pg, name, count, values,
                                                 NULL, NULL, 0)
                           : PQsendQueryParams(c->pg, s->query, count, NULL,
                                               values, NULL, NULL, 0);
    return sent == 1 && PQsetSingleRowMode(c->pg) == 1;
}

static bool
prepare(struct sql_conn *c)
{
    char name[32];

    c->state = SQL_PREPARES;
    (void)snprintf(name, sizeof name, "moongate_%zu", c->prepared_count);
    return PQsendPrepare(c->pg, name, question_of(c)->statement->query, 0,
                         NULL) == 1;
}

static void
sql_ask(struct directory_conn *conn)
{
    struct sql_conn *c = sql_of(conn);
    int number = find_prepared(c, question_of(c)->statement->query);
    bool sent = number < 0 && c->prepared_count < PREPARED_MAX ? prepare(c)
                                                               : run(c, number);

    if (sent)
        wait_for(c);
    else
        lost(c, FAILURE_CLOSED);
}

/* All of an answer has come. */
static void
answered(struct sql_conn *c)
{
    struct sql_question *q = question_of(c);

    if (c->state == SQL_PREPARES && !q->base.failed) {
        const char *query = q->statement->query;
        c->prepared[c->prepared_count++] = xstrndup(query, strlen(query));
        sql_ask(&c->base);
        return;
    }
    /* A transaction that was left open, and what the server says as it ends,
     * are not for the next. */
    if (c->outdated || PQstatus(c->pg) != CONNECTION_OK ||
        PQtransactionStatus(c->pg) != PQTRANS_IDLE)
        directory_finished(&c->base);
    else
        directory_answered(&c->base);
}

static void
read_answer(struct sql_conn *c)
{
    while (PQisBusy(c->pg) == 0) {
        PGresult *r = PQgetResult(c->pg);
        if (r == NULL) {
            answered(c);
            return;
        }
        if (!take(c, r)) {
            directory_finished(&c->base);
            return;
        }
    }
    wait_for(c);
}

/* --- connecting --- */

/* Whether the server is who it should be, once TLS is up.  Before that there
 * is nothing to judge, and nothing is sent but the wish for TLS. */
static bool
is_believed(struct sql_conn *c, struct error *err)
{
    const struct directory *d = c->base.directory;

    if (PQsslInUse(c->pg) == 0 || PQstatus(c->pg) == CONNECTION_STARTED ||
        PQstatus(c->pg) == CONNECTION_SSL_STARTUP) {
        c->believed = false;
        return true;
    }
    if (!c->believed)
        c->believed = auth_tls_check(&c->base.question->client->tls, d->host,
                                     PQsslStruct(c->pg, "OpenSSL"), err);
    return c->believed;
}

static void
opened(struct sql_conn *c)
{
    if (c->base.directory->tls && !c->believed) {
        directory_lost(&c->base, FAILURE_TLS, "TLS: it is not in use");
        return;
    }
    if (PQsetnonblocking(c->pg, 1) != 0) {
        lost(c, FAILURE_CLOSED);
        return;
    }
    sql_ask(&c->base);
}

static void
go_on(struct sql_conn *c)
{
    struct error err;

    directory_unwatch(&c->base); /* libpq may try another address */
    PostgresPollingStatusType next = PQconnectPoll(c->pg);
    if (next != PGRES_POLLING_FAILED && !is_believed(c, &err)) {
        directory_lost(&c->base, FAILURE_TLS, "TLS: %s", err.text);
        return;
    }
    switch (next) {
    case PGRES_POLLING_READING:
        directory_watch(&c->base, PQsocket(c->pg), EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        directory_watch(&c->base, PQsocket(c->pg), EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        opened(c);
        return;
    case PGRES_POLLING_ACTIVE:
    case PGRES_POLLING_FAILED:
        break;
    }
    lost(c, FAILURE_CONNECT);
}

static void
ignore_notice(void *unused, const PGresult *notice)
{
    (void)unused;
    (void)notice;
}

/* `hosts` is empty for a unix socket, whose folder the host is. */
static void
connect_to(struct sql_conn *c, const char *hosts, const char *addresses)
{
    const struct directory *d = c->base.directory;
    const struct postgres_settings *s = d->settings;
    char port[8];

    (void)snprintf(port, sizeof port, "%u", d->port);
    const char *const pairs[][2] = {
        {"host", hosts},
        {"hostaddr", addresses},
        {"port", port},
        {"user", s->user},
        {"dbname", s->database},
        {"password", s->password},
        {"passfile", NOWHERE},
        {"sslmode", d->tls ? "require" : "disable"},
        {"sslrootcert", NOWHERE},
        {"sslcert", NOWHERE},
        {"sslkey", NOWHERE},
        {"sslcrl", NOWHERE},
        {"gssencmode", "disable"},
        {"client_encoding", "UTF8"},
        {"application_name", "moongate"},
    };
    enum { COUNT = sizeof pairs / sizeof *pairs };
    const char *keys[COUNT + 1] = {NULL}, *values[COUNT + 1] = {NULL};
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = pairs[i][0];
        values[i] = pairs[i][1];
    }
    c->state = SQL_CONNECTS;
    c->pg = PQconnectStartParams(keys, values, 0);
    require(c->pg != NULL);
    (void)PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    if (PQstatus(c->pg) == CONNECTION_BAD)
        lost(c, FAILURE_CONNECT);
    else
        directory_watch(&c->base, PQsocket(c->pg), EV_WRITE);
}

/* libpq wants as many hosts as addresses. */
static void
on_addresses(void *arg, enum dns_status status, const struct addr *addresses,
             size_t count)
{
    struct sql_conn *c = arg;
    const char *host = c->base.directory->host;
    char ip[ADDR_TEXT_MAX];
    struct buf hosts, numbers;

    c->resolving = NULL;
    if (status != DNS_OK || count == 0) {
        directory_lost(&c->base, FAILURE_DNS, "%s: %s", host,
                       status == DNS_TIMEOUT ? "no answer of a name server"
                                             : "the host has no address");
        return;
    }
    buf_init(&hosts, (size_t)ADDRESSES_MAX * 300);
    buf_init(&numbers, (size_t)ADDRESSES_MAX * ADDR_TEXT_MAX);
    for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        bool ok = buf_printf(&hosts, "%s%s", i > 0 ? "," : "", host) &&
                  buf_printf(&numbers, "%s%s", i > 0 ? "," : "",
                             addr_format_ip(&addresses[i], ip));
        require(ok);
    }
    bool ended = buf_append(&hosts, (struct slice){"", 1}) &&
                 buf_append(&numbers, (struct slice){"", 1});
    require(ended);
    connect_to(c, buf_bytes(&hosts).ptr, buf_bytes(&numbers).ptr);
    buf_deinit(&hosts);
    buf_deinit(&numbers);
}

static void
sql_open(struct directory_conn *conn)
{
    struct sql_conn *c = sql_of(conn);
    const struct directory *d = conn->directory;
    struct dns_question question = {
        .name = d->host, .timeout = 600, .port = d->port};
    struct addr ip;

    if (d->host[0] == '/')
        connect_to(c, d->host, "");
    else if (addr_parse_ip(slice_of(d->host), d->port, &ip))
        connect_to(c, d->host, d->host);
    else
        c->resolving = dns_resolve(d->lasting->dns, &question, on_addresses, c);
}

static void
sql_happened(struct directory_conn *conn, int events)
{
    struct sql_conn *c = sql_of(conn);

    (void)events;
    if (c->state == SQL_CONNECTS) {
        go_on(c);
        return;
    }
    if (PQconsumeInput(c->pg) == 0 || PQstatus(c->pg) == CONNECTION_BAD) {
        lost(c, FAILURE_CLOSED);
        return;
    }
    if (conn->question != NULL) {
        read_answer(c);
        return;
    }
    /* Idle: a notice, or that the server ends. */
    if (PQisBusy(c->pg) == 0 && PQstatus(c->pg) == CONNECTION_BAD)
        lost(c, FAILURE_CLOSED);
}

static struct directory_conn *
sql_conn_new(void)
{
    struct sql_conn *c = xcalloc(1, sizeof *c);

    return &c->base;
}

static void
sql_conn_free(struct directory_conn *conn)
{
    struct sql_conn *c = sql_of(conn);

    dns_cancel(c->resolving);
    PQfinish(c->pg);
    for (size_t i = 0; i < c->prepared_count; i++)
        free(c->prepared[i]);
    free(c);
}

static void
settings_free(void *settings)
{
    struct postgres_settings *s = settings;

    free(s->user);
    free(s->database);
    explicit_bzero(s->password, strlen(s->password));
    free(s->password);
    free(s);
}

/* --- URLs --- */

/* Takes `value` for the keyword; false for one that has no place in a url. */
static bool
take_option(const char *keyword, const char *value, struct directory *like)
{
    struct postgres_settings *s = like->settings;
    char **text = strcmp(keyword, "host") == 0     ? &like->host
                  : strcmp(keyword, "user") == 0   ? &s->user
                  : strcmp(keyword, "dbname") == 0 ? &s->database
                                                   : NULL;

    if (text != NULL) {
        *text = xstrndup(value, strlen(value));
        return strchr(value, ',') == NULL;
    }
    if (strcmp(keyword, "port") != 0)
        return false;
    size_t port = slice_to_size(slice_of(value));
    like->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static void
settings_new(struct directory *like, struct slice password)
{
    struct postgres_settings *s = xcalloc(1, sizeof *s);

    s->password = xstrndup(password.ptr, password.len);
    like->kind = &sql_postgres;
    like->settings = s;
    like->port = PORT_DEFAULT;
}

const char *
sql_postgres_describe(const char *url, struct slice password,
                      struct directory *like)
{
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);
    const char *problem = NULL;

    settings_new(like, password);
    for (PQconninfoOption *o = parsed; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && *o->val != '\0' &&
            !take_option(o->keyword, o->val, like))
            problem = "user, host, port and database alone may be in it; "
                      "`password` and TLS are options of their own";
        if (o->val != NULL && strcmp(o->keyword, "password") == 0)
            explicit_bzero(o->val, strlen(o->val));
    }
    PQconninfoFree(parsed);
    struct postgres_settings *s = like->settings;
    if (problem == NULL && (like->host == NULL || s->user == NULL))
        return "not postgres://user@host[:port]/database";
    if (problem == NULL && s->database == NULL)
        s->database = xstrndup(s->user, strlen(s->user));
    return problem;
}

const struct directory_kind sql_postgres = {
    .name = "sql",
    .conn_new = sql_conn_new,
    .open = sql_open,
    .ask = sql_ask,
    .happened = sql_happened,
    .conn_free = sql_conn_free,
    .settings_free = settings_free,
    .question_free = sql_question_free,
    .tell = sql_question_tell,
};
