#include "base/format.h"

#include "base/slice.h"

#include <stdio.h>

#define WITH_LENGTH "%.*s"

struct text {
    char *out;
    size_t room;
    size_t len; /* of all, also of what did not fit */
};

static void
put(struct text *t, struct slice bytes)
{
    size_t left = t->room > t->len ? t->room - t->len : 0;
    size_t n = bytes.len < left ? bytes.len : left;

    if (n > 0)
        memcpy(t->out + t->len, bytes.ptr, n);
    t->len += bytes.len;
}

static bool
has_length(const char *directive)
{
    return strncmp(directive, WITH_LENGTH, sizeof WITH_LENGTH - 1) == 0;
}

static bool
is_simple(const char *format)
{
    for (const char *at = format; (at = strchr(at, '%')) != NULL; at++) {
        if (at[1] != 's' && !has_length(at))
            return false;
    }
    return true;
}

static void
fill_in(struct text *t, const char *format, va_list arguments)
{
    for (;;) {
        struct slice literal = {format, strcspn(format, "%")};
        put(t, literal);
        format += literal.len;
        if (*format == '\0')
            return;
        if (has_length(format)) {
            size_t len = (size_t)va_arg(arguments, int);
            put(t, (struct slice){va_arg(arguments, const char *), len});
            format += sizeof WITH_LENGTH - 1;
        } else {
            const char *text = va_arg(arguments, const char *);
            put(t, slice_of(text != NULL ? text : "(null)"));
            format += 2;
        }
    }
}

int
format_text(char *out, size_t room, const char *format, va_list arguments)
{
    struct text t = {out, room, 0};

    if (!is_simple(format))
        return vsnprintf(out, room, format, arguments);
    fill_in(&t, format, arguments);
    if (room > 0)
        out[t.len < room ? t.len : room - 1] = '\0';
    return (int)t.len;
}
