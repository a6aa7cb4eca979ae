/* file_table.h -- a text file of one record a line, hashed by its first field.
 * Lines that are empty or begin with '#' mean nothing. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct file_row {
    struct slice key;
    struct slice rest; /* the other fields, not split */
};

struct file_table;

struct file_layout {
    char separator;
    size_t fields;   /* the last one takes all that is left of the line */
    size_t required; /* that may not be missing or empty */
};

/* The rows point into `bytes`.  NULL and `err` ("12: ...", the line first)
 * for a record that is too short, a key that is there twice, or bytes that are
 * no text. */
struct file_table *file_table_new(struct slice bytes,
                                  const struct file_layout *layout,
                                  struct error *err);
void file_table_free(struct file_table *t); /* NULL is fine */

size_t file_table_count(const struct file_table *t);
const struct file_row *file_table_at(const struct file_table *t, size_t i);
const struct file_row *file_table_find(const struct file_table *t,
                                       struct slice key); /* or NULL */
