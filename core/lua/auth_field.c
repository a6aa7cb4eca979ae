#include "lua/auth_field.h"

#include "base/decimal.h"
#include "base/slice.h"

bool
auth_field_put(struct buf *out, struct slice name, struct slice value)
{
    return buf_append(out, name) && buf_append(out, S(": ")) &&
           buf_append(out, value) && buf_append(out, S("\r\n"));
}

bool
auth_field_put_number(struct buf *out, struct slice name, unsigned value)
{
    char digits[DECIMAL_MAX];

    return auth_field_put(out, name,
                          (struct slice){digits, decimal_put(digits, value)});
}

bool
auth_field_put_escaped(struct buf *out, struct slice name, struct slice value)
{
    static const char hex[] = "0123456789ABCDEF";
    bool ok = buf_append(out, name) && buf_append(out, S(": "));

    while (ok && value.len > 0) {
        size_t n = 0;
        while (n < value.len && (unsigned char)value.ptr[n] > ' ' &&
               value.ptr[n] != '%')
            n++;
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
