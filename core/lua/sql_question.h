/* sql_question.h -- what is asked of a database, and its answer, in the terms
 * of no database in particular. */
#pragma once

#include "base/arena.h"
#include "base/check.h"
#include "lua/directory.h"

#define SQL_PARAMETERS_MAX 32
#define SQL_ROWS_MAX       1000
#define SQL_TOO_LONG       "more than %d rows or 1 MiB in an answer"

enum sql_type { SQL_NULL, SQL_BOOLEAN, SQL_NUMBER, SQL_TEXT };

struct sql_value {
    enum sql_type type;
    double number; /* of a boolean, too: 0 or 1 */
    /* Of a text.  A parameter has one whatever its type, as PostgreSQL would
     * write it, with a NUL behind it. */
    struct slice text;
};

struct sql_statement {
    char *query;
    size_t count;
    struct sql_value parameters[SQL_PARAMETERS_MAX];
    char *texts; /* of the parameters, wiped with them */
    size_t texts_size;
    bool secret; /* a parameter is: a server's words may repeat it */
};

void sql_statement_free(struct sql_statement *s); /* NULL is fine */

struct sql_row {
    struct sql_row *next;
    struct sql_value values[]; /* one a column */
};

/* All of it is in `memory`, which is wiped. */
struct sql_rows {
    struct arena memory;
    struct sql_row *first, *last;
    struct slice *names; /* NULL: no row has come */
    size_t columns, count;
    size_t bytes; /* of texts and names */
};

void sql_rows_init(struct sql_rows *r);
void sql_rows_wipe(struct sql_rows *r); /* it is as after sql_rows_init */

/* How a database's own row is read. */
struct sql_reader {
    size_t (*columns)(const void *row);
    const char *(*name)(const void *row, size_t column); /* NULL: no memory */
    /* Fills in a NULL, with sql_rows_text if need be. */
    bool (*value)(const void *row, size_t column, struct sql_rows *r,
                  struct sql_value *value);
};

/* These are false for more than SQL_ROWS_MAX rows or DIRECTORY_BYTES_MAX
 * bytes. */
bool sql_rows_add(struct sql_rows *r, const struct sql_reader *by,
                  const void *row) MUST_USE;
bool sql_rows_text(struct sql_rows *r, struct sql_value *value,
                   struct slice text) MUST_USE;

/* An integer that is written as `text`: a number, if Lua's can hold it. */
bool sql_rows_integer(struct sql_rows *r, struct sql_value *value,
                      struct slice text) MUST_USE;

enum sql_what { SQL_ROW, SQL_ROWS, SQL_EXECUTE };

struct sql_question {
    struct directory_question base; /* first */
    enum sql_what what;
    struct sql_statement *statement; /* owned */
    struct sql_rows rows;
    double affected; /* rows */
};

struct sql_question *sql_question_of(struct directory_question *q);
void sql_question_free(struct directory_question *base);

/* For specs, see directory.h. */
void sql_question_tell(struct directory_question *base, lua_State *L);
