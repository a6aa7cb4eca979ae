#include "proto/envelope.h"

#include "base/slice.h"

static struct slice
drop_spaces(struct slice s)
{
    while (s.len > 0 && s.ptr[0] == ' ')
        s = slice_drop(s, 1);
    return s;
}

/* Where the path ends: the `>` that is not inside a quoted local part. */
static size_t
end_of_path(struct slice s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (s.ptr[i] == '>' && !quoted)
            return i;
    }
    return s.len;
}

/* A quoted local part may have an "@" of its own: the last one counts. */
static void
split_address(struct envelope_address *a)
{
    const char *at = a->address.len > 0
                         ? memrchr(a->address.ptr, '@', a->address.len)
                         : NULL;

    a->domain = (struct slice){0};
    a->local_part = a->address;
    if (at == NULL)
        return;
    a->local_part.len = (size_t)(at - a->address.ptr);
    a->domain = slice_drop(a->address, a->local_part.len + 1);
}

struct envelope_address
envelope_parse(struct slice command)
{
    struct envelope_address a = {0};
    struct slice rest = command;

    (void)slice_cut(&rest, ':');
    rest = drop_spaces(rest);
    if (rest.len > 0 && rest.ptr[0] == '<') {
        rest = slice_drop(rest, 1);
        a.address = slice_take(rest, end_of_path(rest));
        a.params = drop_spaces(slice_drop(rest, a.address.len + 1));
    } else {
        a.address = slice_cut(&rest, ' ');
        a.params = drop_spaces(rest);
    }
    split_address(&a);
    return a;
}

bool
envelope_next_param(struct slice *params, struct slice *name,
                    struct slice *value)
{
    while (params->len > 0) {
        *value = slice_cut(params, ' ');
        *name = slice_cut(value, '=');
        if (name->len > 0)
            return true;
    }
    return false;
}
