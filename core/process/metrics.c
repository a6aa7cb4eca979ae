#include "process/metrics.h"

#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "moongate_"

enum merge { MERGE_SUM, MERGE_MOST };

static const struct metric {
    const char *name;
    enum merge merge;
    const char *help;
} known[] = {
#define METRIC(name, merge, help) {name, MERGE_##merge, help},
#include "process/metrics.def"
#undef METRIC
};

static const struct metric *
find(struct slice name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal(slice_of(known[i].name), name))
            return &known[i];
    }
    return NULL;
}

/* --- names --- */

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Takes a name off the front. */
static bool
take_name(struct slice *text, struct slice *name)
{
    size_t len = 0;

    while (len < text->len &&
           (is_letter(text->ptr[len]) ||
            (len > 0 && text->ptr[len] >= '0' && text->ptr[len] <= '9')))
        len++;
    *name = slice_take(*text, len);
    *text = slice_drop(*text, len);
    return len > 0;
}

static bool
skip(struct slice *text, struct slice expected)
{
    if (!slice_has_prefix(*text, expected))
        return false;
    *text = slice_drop(*text, expected.len);
    return true;
}

/* Takes ="value" off the front. */
static bool
take_value(struct slice *text)
{
    if (!skip(text, S("=\"")))
        return false;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '"') {
            *text = slice_drop(*text, i + 1);
            return true;
        }
        if ((unsigned char)c < ' ')
            return false;
        if (c == '\\' &&
            (++i == text->len || strchr("\\\"n", text->ptr[i]) == NULL))
            return false;
    }
    return false;
}

/* Splits it into the name and {...}, which may be empty. */
static bool
split(struct slice text, struct slice *name, struct slice *labels)
{
    struct slice label;

    if (!take_name(&text, name))
        return false;
    *labels = text;
    if (text.len == 0)
        return true;
    if (!skip(&text, S("{")))
        return false;
    do {
        if (!take_name(&text, &label) || !take_value(&text))
            return false;
    } while (skip(&text, S(",")));
    return slice_equal(text, S("}"));
}

bool
metric_is_whole(struct slice text)
{
    struct slice name, labels;

    return split(text, &name, &labels);
}

void
metric_merge_gauge(struct counters *sum, const struct counter *one)
{
    struct slice name, labels;
    const struct metric *m =
        split(slice_of(one->name), &name, &labels) && !one->is_of_policy
            ? find(name)
            : NULL;

    if (m == NULL || m->merge == MERGE_SUM) {
        (void)counters_merge(sum, one);
        return;
    }
    struct counter *most = counters_gauge(sum, "%s", one->name);
    if (one->value > most->value)
        most->value = one->value;
}

/* --- writing --- */

struct line {
    const struct counter *counter;
    const struct metric *metric; /* NULL: of a policy, or nobody's */
    struct slice stem;           /* the name; of a policy's counter without
                                    _total, which is added */
    struct slice labels;
};

struct lines {
    struct line *all;
    size_t count, room;
};

static bool
has_total(const struct line *l)
{
    return l->counter->is_of_policy && !l->counter->is_gauge;
}

static void
add_line(void *arg, const struct counter *counter)
{
    struct lines *lines = arg;
    struct line one = {.counter = counter};

    if (!split(slice_of(counter->name), &one.stem, &one.labels))
        return;
    one.metric = counter->is_of_policy ? NULL : find(one.stem);
    if (has_total(&one))
        (void)slice_drop_suffix(&one.stem, S("_total"));
    if (lines->count == lines->room) {
        lines->room = lines->room > 0 ? 2 * lines->room : 256;
        lines->all = realloc(lines->all, lines->room * sizeof *lines->all);
        require(lines->all != NULL);
    }
    lines->all[lines->count++] = one;
}

static int
compare_slices(struct slice a, struct slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
compare_families(const struct line *a, const struct line *b)
{
    if (a->counter->is_of_policy != b->counter->is_of_policy)
        return a->counter->is_of_policy ? 1 : -1;
    int order = compare_slices(a->stem, b->stem);
    return order != 0 ? order : a->counter->is_gauge - b->counter->is_gauge;
}

static int
compare(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = compare_families(x, y);

    return order != 0 ? order : compare_slices(x->labels, y->labels);
}

static bool
write_name(const struct line *l, const char *before, struct buf *out)
{
    return buf_printf(out, "%s" PREFIX "%s%.*s%s", before,
                      l->counter->is_of_policy ? "policy_" : "",
                      (int)l->stem.len, l->stem.ptr,
                      has_total(l) ? "_total" : "");
}

static bool
write_head(const struct line *l, struct buf *out)
{
    const char *help = l->metric != NULL          ? l->metric->help
                       : l->counter->is_of_policy ? "Told by policies."
                                                  : "Not described.";

    return write_name(l, "# HELP ", out) && buf_printf(out, " %s\n", help) &&
           write_name(l, "# TYPE ", out) &&
           buf_printf(out, " %s\n", l->counter->is_gauge ? "gauge" : "counter");
}

static bool
write_line(const struct line *l, double value, struct buf *out)
{
    return write_name(l, "", out) &&
           buf_printf(out, "%.*s %.17g\n", (int)l->labels.len, l->labels.ptr,
                      value);
}

/* What policies call "x" and "x_total" is one. */
static bool
write_all(const struct lines *lines, struct buf *out)
{
    double value = 0;

    for (size_t i = 0; i < lines->count; i++) {
        const struct line *l = &lines->all[i];
        if (i == 0 || compare_families(l, l - 1) != 0) {
            if (!write_head(l, out))
                return false;
        }
        value += l->counter->value;
        if (i + 1 < lines->count && compare(l, l + 1) == 0)
            continue;
        if (!write_line(l, value, out))
            return false;
        value = 0;
    }
    return true;
}

bool
metrics_write(const struct counters *sum, struct buf *out)
{
    struct lines lines = {0};

    counters_each(sum, add_line, &lines);
    if (lines.count > 0)
        qsort(lines.all, lines.count, sizeof *lines.all, compare);
    bool fits = write_all(&lines, out);
    free(lines.all);
    return fits;
}
