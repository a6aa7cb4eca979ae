#include "lua/sql_sqlite.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/sql_question.h"
#include "lua/threads.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MIN       0.001 /* seconds, while the database is locked */
#define AGAIN_MAX       0.05
#define STEPS           1000 /* of the machine, between looks at `stop` */
#define HEAP_MAX        ((sqlite3_int64)64 << 20) /* of the whole process */
#define QUERY_BYTES_MAX (64 << 10)
#define EXACT_MAX       9007199254740992. /* 2^53 */

/* Nothing goes to temporary files or is mapped: a file that becomes shorter
 * must not kill the worker. */
#define PRAGMAS \
    "pragma temp_store = memory; pragma mmap_size = 0; " \
    "pragma cell_size_check = on"

static const struct directory_kind sql_sqlite;

struct sqlite_settings {
    bool write;
};

struct sqlite_conn;

/* What the thread has; the loop looks at it only when it is back, but for
 * `stop`. */
struct sqlite_job {
    struct job job;
    struct sqlite_conn *conn;
    atomic_bool stop;
    char *path;
    bool write;
    sqlite3 *db;                     /* NULL: not open */
    struct sql_statement *statement; /* that of the question */
    struct sql_rows rows;
    double affected;
    int code; /* SQLITE_OK, or why not: */
    enum failure kind;
    char text[256];
};

struct sqlite_conn {
    struct directory_conn base; /* first */
    struct sqlite_job *job;
    ev_timer again;
    double wait; /* seconds, before it is tried again */
};

void
sql_sqlite_init(void)
{
    static bool done;

    if (done)
        return;
    done = true;
    int code = sqlite3_initialize();
    require(code == SQLITE_OK);
    (void)sqlite3_hard_heap_limit64(HEAP_MAX);
}

/* --- in a thread: what goes wrong --- */

static enum failure
kind_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return FAILURE_CONNECT;
    case SQLITE_IOERR:
        return FAILURE_CLOSED;
    case SQLITE_NOMEM:
    case SQLITE_FULL:
        return FAILURE_OVERLOAD;
    default:
        return FAILURE_PROTOCOL;
    }
}

static void fail(struct sqlite_job *j, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
fail(struct sqlite_job *j, int code, const char *format, ...)
{
    va_list arguments;

    j->code = code;
    j->kind = kind_of(code);
    va_start(arguments, format);
    (void)vsnprintf(j->text, sizeof j->text, format, arguments);
    va_end(arguments);
}

/* What SQLite says of the call that has just failed. */
static void
refused(struct sqlite_job *j, int code)
{
    const char *reason = NULL;

    if ((code & 0xff) == SQLITE_CANTOPEN)
        reason = strerrordesc_np(sqlite3_system_errno(j->db));
    fail(j, code, "%s: %s%s%s", j->path,
         j->statement->secret ? sqlite3_errstr(code) : sqlite3_errmsg(j->db),
         reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

/* --- in a thread: opening --- */

static int
on_progress(void *arg)
{
    struct sqlite_job *j = arg;

    return atomic_load_explicit(&j->stop, memory_order_relaxed);
}

static void
close_database(struct sqlite_job *j)
{
    int code = sqlite3_close(j->db); /* NULL is fine */

    require(code == SQLITE_OK); /* no statement is left */
    j->db = NULL;
}

/* The file may be anybody's work: what is in it may not reach out. */
static void
confine(struct sqlite_job *j)
{
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_limit(j->db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(j->db, SQLITE_LIMIT_LENGTH, (int)DIRECTORY_BYTES_MAX);
    (void)sqlite3_limit(j->db, SQLITE_LIMIT_SQL_LENGTH, QUERY_BYTES_MAX);
    sqlite3_progress_handler(j->db, STEPS, on_progress, j);
}

static bool
open_database(struct sqlite_job *j)
{
    int flags = j->write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(
        j->path, &j->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        NULL);

    if (code == SQLITE_OK) {
        confine(j);
        code = sqlite3_exec(j->db, PRAGMAS, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK)
        return true;
    refused(j, code);
    close_database(j);
    return false;
}

/* Whether the path is still that of the file that is open. */
static bool
is_current(struct sqlite_job *j)
{
    int moved = 0;

    return sqlite3_file_control(j->db, "main", SQLITE_FCNTL_HAS_MOVED,
                                &moved) == SQLITE_OK &&
           moved == 0;
}

/* --- in a thread: asking --- */

/* The number of the value that goes where the statement has `name`, from 1; 0:
 * it is none of ours. */
static size_t
number_of(const char *name, size_t place)
{
    if (name == NULL)
        return place;
    struct slice digits = slice_drop(slice_of(name), 1);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
    }
    return digits.len > 0 && digits.len < 4 ? slice_to_size(digits) : 0;
}

static int
bind_value(sqlite3_stmt *s, int place, const struct sql_value *value)
{
    switch (value->type) {
    case SQL_NULL:
        return sqlite3_bind_null(s, place);
    case SQL_BOOLEAN:
        return sqlite3_bind_int(s, place, (int)value->number);
    case SQL_NUMBER:
        if (value->number < EXACT_MAX && value->number > -EXACT_MAX &&
            (double)(sqlite3_int64)value->number == value->number)
            return sqlite3_bind_int64(s, place, (sqlite3_int64)value->number);
        return sqlite3_bind_double(s, place, value->number);
    case SQL_TEXT:
        return sqlite3_bind_text(s, place, value->text.ptr,
                                 (int)value->text.len, SQLITE_STATIC);
    }
    unreachable();
}

static bool
bind_values(struct sqlite_job *j, sqlite3_stmt *s)
{
    size_t highest = 0;

    for (int i = 1; i <= sqlite3_bind_parameter_count(s); i++) {
        size_t number = number_of(sqlite3_bind_parameter_name(s, i), (size_t)i);
        if (number == 0 || number > j->statement->count) {
            fail(j, SQLITE_ERROR,
                 number == 0 ? "values are $1, $2, ..." : "too few values");
            return false;
        }
        highest = number > highest ? number : highest;
        int code = bind_value(s, i, &j->statement->parameters[number - 1]);
        if (code != SQLITE_OK) {
            refused(j, code);
            return false;
        }
    }
    if (highest < j->statement->count)
        fail(j, SQLITE_ERROR, "too many values");
    return highest == j->statement->count;
}

/* SQLite has no booleans, but columns that are declared to be. */
static bool
is_boolean(sqlite3_stmt *s, int column)
{
    const char *type = sqlite3_column_decltype(s, column);

    return type != NULL && (sqlite3_stricmp(type, "boolean") == 0 ||
                            sqlite3_stricmp(type, "bool") == 0);
}

static sqlite3_stmt *
statement_of(const void *row)
{
    return (sqlite3_stmt *)(uintptr_t)row;
}

static size_t
columns_of(const void *row)
{
    return (size_t)sqlite3_column_count(statement_of(row));
}

static const char *
name_of(const void *row, size_t column)
{
    return sqlite3_column_name(statement_of(row), (int)column);
}

static bool
value_of(const void *row, size_t column, struct sql_rows *rows,
         struct sql_value *value)
{
    sqlite3_stmt *s = statement_of(row);
    int at = (int)column;
    struct slice text;

    switch (sqlite3_column_type(s, at)) {
    case SQLITE_NULL:
        return true;
    case SQLITE_FLOAT:
        value->type = SQL_NUMBER;
        value->number = sqlite3_column_double(s, at);
        return true;
    case SQLITE_INTEGER:
        if (is_boolean(s, at)) {
            value->type = SQL_BOOLEAN;
            value->number = sqlite3_column_int64(s, at) != 0;
            return true;
        }
        text.ptr = (const char *)sqlite3_column_text(s, at);
        return text.ptr != NULL &&
               sql_rows_integer(rows, value, slice_of(text.ptr));
    default:
        text.ptr = sqlite3_column_blob(s, at);
        text.len = (size_t)sqlite3_column_bytes(s, at);
        return sql_rows_text(rows, value, text);
    }
}

static const struct sql_reader reader = {columns_of, name_of, value_of};

/* Reads all rows. */
static void
run(struct sqlite_job *j, sqlite3_stmt *s)
{
    sqlite3_int64 before = sqlite3_total_changes64(j->db);
    int code;

    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (!sql_rows_add(&j->rows, &reader, s)) {
            fail(j, SQLITE_TOOBIG, SQL_TOO_LONG, SQL_ROWS_MAX);
            return;
        }
    }
    if (code != SQLITE_DONE) {
        refused(j, code);
        return;
    }
    if (sqlite3_stmt_readonly(s) != 0)
        j->affected = (double)j->rows.count;
    else if (sqlite3_total_changes64(j->db) != before)
        j->affected = (double)sqlite3_changes64(j->db);
}

/* One statement, and nothing behind it. */
static sqlite3_stmt *
prepare(struct sqlite_job *j)
{
    const char *rest = NULL, *end = NULL;
    sqlite3_stmt *s = NULL, *second = NULL;
    int code = sqlite3_prepare_v2(j->db, j->statement->query, -1, &s, &rest);

    if (code == SQLITE_OK && s != NULL)
        code = sqlite3_prepare_v2(j->db, rest, -1, &second, &end);
    if (code != SQLITE_OK)
        refused(j, code);
    else if (s == NULL || second != NULL)
        fail(j, SQLITE_ERROR, "not a single statement");
    if (j->code == SQLITE_OK)
        return s;
    (void)sqlite3_finalize(second);
    (void)sqlite3_finalize(s);
    return NULL;
}

static void
job_work(struct job *job)
{
    struct sqlite_job *j = container_of(job, struct sqlite_job, job);

    if (j->db != NULL && !is_current(j))
        close_database(j);
    if (j->db == NULL && !open_database(j))
        return;
    sqlite3_stmt *s = prepare(j);
    if (s == NULL)
        return;
    if (bind_values(j, s))
        run(j, s);
    (void)sqlite3_finalize(s);
}

/* --- on the loop --- */

static struct sqlite_conn *
sqlite_of(struct directory_conn *conn)
{
    return container_of(conn, struct sqlite_conn, base);
}

static void
job_discard(struct job *job)
{
    struct sqlite_job *j = container_of(job, struct sqlite_job, job);

    close_database(j);
    sql_statement_free(j->statement);
    sql_rows_wipe(&j->rows);
    free(j->path);
    free(j);
}

static void
submit(struct sqlite_conn *c)
{
    struct sqlite_job *j = c->job;

    j->code = SQLITE_OK;
    j->affected = 0;
    sql_rows_wipe(&j->rows);
    if (!threads_submit(c->base.directory->lasting->loop, &j->job))
        directory_lost(&c->base, FAILURE_OVERLOAD,
                       "%d jobs are waiting already", THREADS_WAITING_MAX);
}

static void
on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    submit(container_of(timer, struct sqlite_conn, again));
}

/* Somebody holds a lock, or has left a journal that a program which may write
 * has to roll back.  One that is just being removed looks the same. */
static bool
is_locked(int code)
{
    return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED ||
           code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY;
}

static void
try_again(struct sqlite_conn *c)
{
    struct ev_loop *loop = c->base.directory->lasting->loop;

    if (ev_timer_remaining(loop, &c->base.question->deadline) < c->wait) {
        directory_lost(&c->base, FAILURE_TIMEOUT, "%s", c->job->text);
        return;
    }
    ev_timer_set(&c->again, c->wait, 0.);
    ev_timer_start(loop, &c->again);
    c->wait = 2 * c->wait < AGAIN_MAX ? 2 * c->wait : AGAIN_MAX;
}

/* After an error of the file it is opened anew; a transaction that was left
 * open is not for the next. */
static bool
is_usable(const struct sqlite_job *j)
{
    return j->db != NULL && sqlite3_get_autocommit(j->db) != 0 &&
           (j->code == SQLITE_OK || j->code == SQLITE_ERROR ||
            j->code == SQLITE_TOOBIG || (j->code & 0xff) == SQLITE_CONSTRAINT);
}

static void
job_done(struct job *job)
{
    struct sqlite_job *j = container_of(job, struct sqlite_job, job);
    struct sqlite_conn *c = j->conn;
    struct sql_question *q = sql_question_of(c->base.question);

    if (is_locked(j->code)) {
        try_again(c);
        return;
    }
    sql_statement_free(j->statement);
    j->statement = NULL;
    if (j->code != SQLITE_OK) {
        directory_fail(&q->base, j->kind, "%s", j->text);
    } else {
        q->rows = j->rows;
        q->affected = j->affected;
        sql_rows_init(&j->rows);
    }
    if (is_usable(j))
        directory_answered(&c->base);
    else
        directory_finished(&c->base);
}

static struct directory_conn *
sqlite_conn_new(void)
{
    struct sqlite_conn *c = xcalloc(1, sizeof *c);
    struct sqlite_job *j = xcalloc(1, sizeof *j);

    ev_init(&c->again, on_again);
    c->job = j;
    j->job.work = job_work;
    j->job.done = job_done;
    j->job.discard = job_discard;
    j->conn = c;
    atomic_init(&j->stop, false);
    sql_rows_init(&j->rows);
    return &c->base;
}

/* The statement goes along to the thread, which may outlive the question. */
static void
sqlite_ask(struct directory_conn *conn)
{
    struct sql_question *q = sql_question_of(conn->question);
    struct sqlite_conn *c = sqlite_of(conn);

    c->job->statement = q->statement;
    q->statement = NULL;
    c->wait = AGAIN_MIN;
    submit(c);
}

static void
sqlite_open(struct directory_conn *conn)
{
    const struct sqlite_settings *s = conn->directory->settings;
    struct sqlite_job *j = sqlite_of(conn)->job;
    const char *path = conn->directory->host;

    j->path = xstrndup(path, strlen(path));
    j->write = s->write;
    sqlite_ask(conn);
}

static void
sqlite_happened(struct directory_conn *conn, int events)
{
    (void)conn; /* it has no descriptor that is watched */
    (void)events;
    unreachable();
}

/* Closing waits for the disk: that is left to a thread, too. */
static void
sqlite_conn_free(struct directory_conn *conn)
{
    struct sqlite_conn *c = sqlite_of(conn);

    ev_timer_stop(conn->directory->lasting->loop, &c->again);
    atomic_store_explicit(&c->job->stop, true, memory_order_relaxed);
    threads_drop(&c->job->job);
    free(c);
}

static const struct directory_kind sql_sqlite = {
    .name = "sql",
    .conn_new = sqlite_conn_new,
    .open = sqlite_open,
    .ask = sqlite_ask,
    .happened = sqlite_happened,
    .conn_free = sqlite_conn_free,
    .settings_free = free,
    .question_free = sql_question_free,
    .tell = sql_question_tell,
};

const char *
sql_sqlite_describe(const char *path, bool write, struct directory *like)
{
    struct sqlite_settings *s = xcalloc(1, sizeof *s);

    s->write = write;
    like->kind = &sql_sqlite;
    like->settings = s;
    like->host = xstrndup(path, strlen(path));
    return *path == '/' ? NULL : "not sqlite:/path/of/a/file";
}
