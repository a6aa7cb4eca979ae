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

/* False at a directive that it does not know. */
static bool
fill_in(struct text *t, const char *format, va_list arguments)
{
    for (;;) {
        const char *at = strchrnul(format, '%');
        put(t, (struct slice){format, (size_t)(at - format)});
        if (*at == '\0')
            return true;
        if (at[1] == 's') {
            const char *text = va_arg(arguments, const char *);
            put(t, slice_of(text != NULL ? text : "(null)"));
            format = at + 2;
        } else if (has_length(at)) {
            size_t len = (size_t)va_arg(arguments, int);
            put(t, (struct slice){va_arg(arguments, const char *), len});
            format = at + sizeof WITH_LENGTH - 1;
        } else {
            return false;
        }
    }
}

int
format_text(char *out, size_t room, const char *format, va_list arguments)
{
    struct text t = {out, room, 0};
    va_list again;

    va_copy(again, arguments);
    bool is_known = fill_in(&t, format, again);
    va_end(again);
    if (!is_known)
        return vsnprintf(out, room, format, arguments);
    if (room > 0)
        out[t.len < room ? t.len : room - 1] = '\0';
    return (int)t.len;
}
