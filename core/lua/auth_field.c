#include "lua/auth_field.h"

#include "base/decimal.h"
#include "base/slice.h"

bool
auth_field_put(struct buf *out, struct slice name, struct slice value)
{
    size_t len = name.len + value.len + 4, room;
    char *at = buf_reserve(out, len, &room);

    if (room < len)
        return false;
    at = mempcpy(at, name.ptr, name.len);
    at = mempcpy(at, ": ", 2);
    if (value.len > 0)
        at = mempcpy(at, value.ptr, value.len);
    at[0] = '\r';
    at[1] = '\n';
    buf_filled(out, len);
    return true;
}

bool
auth_field_put_number(struct buf *out, struct slice name, unsigned value)
{
    char digits[DECIMAL_MAX];
    size_t len = decimal_put(digits, value);

    return auth_field_put(out, name, (struct slice){digits, len});
}

/* How much of it goes as it is. */
static size_t
find_escaped(struct slice value)
{
    size_t n = 0;

    while (n < value.len && (unsigned char)value.ptr[n] > ' ' &&
           value.ptr[n] != '%')
        n++;
    return n;
}

bool
auth_field_put_escaped(struct buf *out, struct slice name, struct slice value)
{
    static const char hex[] = "0123456789ABCDEF";

    if (find_escaped(value) == value.len)
        return auth_field_put(out, name, value);
    bool ok = buf_append(out, name) && buf_append(out, S(": "));
    while (ok && value.len > 0) {
        size_t n = find_escaped(value);
        ok = buf_append(out, slice_take(value, n));
        value = slice_drop(value, n);
        if (!ok || value.len == 0)
            break;
        unsigned char c = (unsigned char)value.ptr[0];
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        ok = buf_append(out, (struct slice){code, 3});
        value = slice_drop(value, 1);
    }
    return ok && buf_append(out, S("\r\n"));
}
