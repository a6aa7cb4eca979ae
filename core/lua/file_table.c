#include "lua/file_table.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

struct file_table {
    struct file_row *rows;
    size_t count;
    uint32_t *slots;   /* row number + 1; 0: free */
    size_t slot_count; /* a power of two, at least twice the rows */
};

static uint64_t
hash(struct slice key)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.ptr[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* The slot of `key`, or the free one where it belongs. */
static size_t
find_slot(const struct file_table *t, struct slice key)
{
    size_t at = hash(key) & (t->slot_count - 1);

    while (t->slots[at] != 0 &&
           !slice_equal(t->rows[t->slots[at] - 1].key, key))
        at = (at + 1) & (t->slot_count - 1);
    return at;
}

static size_t
count_lines(struct slice bytes)
{
    size_t lines = 0;

    while (bytes.len > 0) {
        (void)slice_cut(&bytes, '\n');
        lines++;
    }
    return lines;
}

static bool
is_text(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Fields of the line that are there, one after the other, and not empty. */
static size_t
count_leading(struct slice line, const struct file_layout *layout)
{
    size_t count = 0;

    while (count < layout->fields && line.len > 0) {
        struct slice field = count + 1 < layout->fields
                                 ? slice_cut(&line, layout->separator)
                                 : line;
        if (field.len == 0)
            break;
        count++;
    }
    return count;
}

static bool
add_line(struct file_table *t, struct slice line,
         const struct file_layout *layout, struct error *err)
{
    (void)slice_drop_suffix(&line, S("\r"));
    if (line.len == 0 || line.ptr[0] == '#')
        return true;
    if (!is_text(line))
        return error_set(err, "control characters");
    if (count_leading(line, layout) < layout->required)
        return error_set(err, "fewer than %zu fields", layout->required);

    struct file_row *row = &t->rows[t->count];
    row->rest = line;
    row->key = slice_cut(&row->rest, layout->separator);
    size_t slot = find_slot(t, row->key);
    if (t->slots[slot] != 0)
        return error_set(err, "\"%.*s\" is there already",
                         (int)(row->key.len < 100 ? row->key.len : 100),
                         row->key.ptr);
    t->slots[slot] = (uint32_t)++t->count;
    return true;
}

struct file_table *
file_table_new(struct slice bytes, const struct file_layout *layout,
               struct error *err)
{
    struct file_table *t = xcalloc(1, sizeof(*t));
    size_t lines = count_lines(bytes);

    t->slot_count = 16;
    while (t->slot_count < 2 * lines)
        t->slot_count *= 2;
    t->rows = xcalloc(lines + 1, sizeof(*t->rows));
    t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
    for (size_t number = 1; bytes.len > 0; number++) {
        if (!add_line(t, slice_cut(&bytes, '\n'), layout, err)) {
            (void)error_context(err, "%zu", number);
            file_table_free(t);
            return NULL;
        }
    }
    return t;
}

void
file_table_free(struct file_table *t)
{
    if (t == NULL)
        return;
    free(t->rows);
    free(t->slots);
    free(t);
}

size_t
file_table_count(const struct file_table *t)
{
    return t->count;
}

const struct file_row *
file_table_at(const struct file_table *t, size_t i)
{
    require(i < t->count);
    return &t->rows[i];
}

const struct file_row *
file_table_find(const struct file_table *t, struct slice key)
{
    uint32_t number = t->slots[find_slot(t, key)];

    return number == 0 ? NULL : &t->rows[number - 1];
}
