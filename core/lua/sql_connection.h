/* sql_connection.h -- one connection to PostgreSQL, by libpq's asynchronous
 * API, and what is asked over it.
 *
 * libpq does what it must not do in a worker unless told otherwise: names are
 * resolved here and passed as `hostaddr`; .pgpass, service and certificate
 * files are named away; its variables are taken out of the environment.  Its
 * TLS comes without a check of certificates, since it reads authorities from
 * files only: the handshake is judged here before anything else is sent. */
#pragma once

#include "lua/directory.h"

#include <libpq-fe.h>

#define SQL_PARAMETERS_MAX 32
#define SQL_ROWS_MAX       1000

extern const struct directory_kind sql_postgres;

struct sql_settings {
    char *user, *database, *password; /* owned; "" for no password */
};

enum sql_what { SQL_ROW, SQL_ROWS, SQL_EXECUTE };

/* The parameters are texts of one block, wiped with it. */
struct sql_question {
    struct directory_question base; /* first */
    void *arg;                      /* of who asks */
    enum sql_what what;
    char *query;
    int count;
    char *parameters[SQL_PARAMETERS_MAX]; /* NULL: NULL */
    char *texts;
    size_t texts_size;
    bool secret;     /* a parameter is: the server's words may repeat it */
    PGresult **rows; /* one row each */
    size_t row_count, row_bytes;
    double affected;
};

void sql_question_free(struct sql_question *q);

/* Once a process, before it opens no more files. */
void sql_global_init(void);
