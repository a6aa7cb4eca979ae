/* sql_postgres.h -- one connection to PostgreSQL, by libpq's asynchronous API.
 *
 * libpq does what it must not do in a worker unless told otherwise: names are
 * resolved here and passed as `hostaddr`; .pgpass, service and certificate
 * files are named away; its variables are taken out of the environment.  Its
 * TLS comes without a check of certificates, since it reads authorities from
 * files only: the handshake is judged here before anything else is sent. */
#pragma once

#include "lua/directory.h"

extern const struct directory_kind sql_postgres;

struct postgres_settings {
    char *user, *database, *password; /* owned; "" for no password */
};

/* Fills in kind, settings, host and port for "postgres://user@host/database",
 * which libpq parses.  The message on failure, or NULL. */
const char *sql_postgres_describe(const char *url, struct slice password,
                                  struct directory *like);

/* Once a process, before it opens no more files. */
void sql_postgres_init(void);
