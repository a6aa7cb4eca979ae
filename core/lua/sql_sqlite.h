/* sql_sqlite.h -- one connection to an SQLite database, and what is asked over
 * it, in the threads of threads.h.
 *
 * SQLite opens the file, and what belongs to it (-wal, -shm, -journal), when
 * it needs them, as the user of the worker: the one exception to the rule that
 * a worker that is ready opens no file.  Before each question it looks whether
 * another file has taken the path, and then opens that.
 *
 * No thread waits for a lock: the loop asks again a little later.  A question
 * that is given up stops within a few steps of SQLite's machine. */
#pragma once

#include "lua/directory.h"

/* Fills in kind, settings and host for the absolute path of a file.  The
 * message on failure, or NULL. */
const char *sql_sqlite_describe(const char *path, bool write,
                                struct directory *like);

/* Once a process, before it opens no more files. */
void sql_sqlite_init(void);
