#include "proto/scram_first.h"

#include "base/slice.h"

static bool
is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~')
            return false;
    }
    return text.len > 0;
}

/* An alphanumeric word with dots and dashes. */
static bool
is_binding_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
            c != '-')
            return false;
    }
    return name.len > 0;
}

/* Cuts off "key=value"; false if something else stands there. */
static bool
cut_attribute(struct slice *rest, char key, struct slice *value)
{
    struct slice attribute = slice_cut(rest, ',');

    if (attribute.len < 2 || attribute.ptr[0] != key || attribute.ptr[1] != '=')
        return false;
    *value = slice_drop(attribute, 2);
    return true;
}

/* "n,", "y," or "p=tls-exporter,", then an authzid or nothing. */
static bool
cut_header(struct slice *rest, struct scram_first *first)
{
    struct slice flag = slice_cut(rest, ',');

    if (flag.len == 0)
        return false;
    first->flag = flag.ptr[0];
    first->binding = slice_drop(flag, 2);
    if (first->flag == 'p') {
        if (flag.len < 2 || flag.ptr[1] != '=' ||
            !is_binding_name(first->binding))
            return false;
    } else if (flag.len > 1 || (first->flag != 'n' && first->flag != 'y')) {
        return false;
    }
    if (slice_find(*rest, ',') > 0)
        return cut_attribute(rest, 'a', &first->authzid) &&
               first->authzid.len > 0;
    (void)slice_cut(rest, ',');
    return true;
}

/* What may follow the nonce has no meaning for anybody yet, but a shape. */
static bool
are_extensions(struct slice rest)
{
    while (rest.len > 0) {
        struct slice one = slice_cut(&rest, ',');
        if (one.len < 3 || one.ptr[1] != '=' || ascii_lower(one.ptr[0]) < 'a' ||
            ascii_lower(one.ptr[0]) > 'z')
            return false;
    }
    return true;
}

bool
scram_first_parse(struct slice message, struct scram_first *first)
{
    struct slice rest = message, nonce;

    *first = (struct scram_first){.authzid = S("")};
    /* An "m=" in front of the name is an extension that must be known. */
    return cut_header(&rest, first) &&
           cut_attribute(&rest, 'n', &first->user) && first->user.len > 0 &&
           cut_attribute(&rest, 'r', &nonce) && nonce.len <= SCRAM_NONCE_MAX &&
           is_printable(nonce) && are_extensions(rest);
}

bool
scram_unescape(struct slice name, char *out, size_t *len)
{
    *len = 0;
    while (name.len > 0) {
        char c = name.ptr[0];
        size_t width = 1;
        if (slice_has_prefix(name, S("=2C")))
            c = ',';
        else if (c == '=' && !slice_has_prefix(name, S("=3D")))
            return false;
        if (name.ptr[0] == '=')
            width = 3;
        out[(*len)++] = c;
        name = slice_drop(name, width);
    }
    return true;
}
