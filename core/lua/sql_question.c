#include "lua/sql_question.h"

#include "base/slice.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX (4 * DIRECTORY_BYTES_MAX) /* with what surrounds the texts */
#define EXACT_MAX  9007199254740992.         /* 2^53 */

void
sql_statement_free(struct sql_statement *s)
{
    if (s == NULL)
        return;
    if (s->texts != NULL)
        explicit_bzero(s->texts, s->texts_size);
    free(s->texts);
    free(s->query);
    free(s);
}

void
sql_rows_init(struct sql_rows *r)
{
    *r = (struct sql_rows){0};
    arena_init(&r->memory, MEMORY_MAX);
}

void
sql_rows_wipe(struct sql_rows *r)
{
    arena_wipe(&r->memory);
    sql_rows_init(r);
}

static bool
copy(struct sql_rows *r, struct slice text, struct slice *out)
{
    r->bytes += text.len;
    return r->bytes <= DIRECTORY_BYTES_MAX && arena_copy(&r->memory, text, out);
}

/* Once, of the first row. */
static bool
keep_names(struct sql_rows *r, const struct sql_reader *by, const void *row)
{
    if (r->names != NULL)
        return true;
    r->columns = by->columns(row);
    r->names = arena_alloc(&r->memory, (r->columns + 1) * sizeof *r->names);
    if (r->names == NULL)
        return false;
    for (size_t i = 0; i < r->columns; i++) {
        const char *name = by->name(row, i);
        if (name == NULL || !copy(r, slice_of(name), &r->names[i]))
            return false;
    }
    return true;
}

/* A row of NULLs, or NULL. */
static struct sql_row *
append(struct sql_rows *r)
{
    size_t size =
        sizeof(struct sql_row) + r->columns * sizeof(struct sql_value);
    struct sql_row *row =
        r->count < SQL_ROWS_MAX ? arena_alloc(&r->memory, size) : NULL;

    if (row == NULL)
        return NULL;
    if (r->last != NULL)
        r->last->next = row;
    else
        r->first = row;
    r->last = row;
    r->count++;
    return row;
}

bool
sql_rows_add(struct sql_rows *r, const struct sql_reader *by, const void *row)
{
    struct sql_row *kept = keep_names(r, by, row) ? append(r) : NULL;

    for (size_t i = 0; kept != NULL && i < r->columns; i++) {
        if (!by->value(row, i, r, &kept->values[i]))
            return false;
    }
    return kept != NULL;
}

bool
sql_rows_text(struct sql_rows *r, struct sql_value *value, struct slice text)
{
    value->type = SQL_TEXT;
    return copy(r, text, &value->text);
}

bool
sql_rows_integer(struct sql_rows *r, struct sql_value *value, struct slice text)
{
    double number = strtod(text.ptr, NULL);

    if (number > EXACT_MAX || number < -EXACT_MAX)
        return sql_rows_text(r, value, text);
    value->type = SQL_NUMBER;
    value->number = number;
    return true;
}

struct sql_question *
sql_question_of(struct directory_question *q)
{
    return container_of(q, struct sql_question, base);
}

void
sql_question_free(struct directory_question *base)
{
    struct sql_question *q = sql_question_of(base);

    sql_statement_free(q->statement);
    sql_rows_wipe(&q->rows);
    free(q);
}

void
sql_question_tell(struct directory_question *base, lua_State *L)
{
    const struct sql_statement *s = sql_question_of(base)->statement;

    lua_newtable(L);
    lua_pushstring(L, s->query);
    lua_setfield(L, -2, "query");
    lua_newtable(L);
    for (size_t i = 0; i < s->count; i++) {
        if (s->parameters[i].type == SQL_NULL)
            continue;
        lua_pushstring(L, s->parameters[i].text.ptr);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "parameters");
}
