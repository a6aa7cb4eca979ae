#include "proto/imap_args.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/imap_frame.h"
#include "proto/line.h"

static bool
take_char(struct slice *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = slice_drop(*rest, 1);
    return true;
}

/* Bytes that no string may hold, whichever way it is written. */
static bool
has_forbidden(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '\0' || c == '\r' || c == '\n')
            return true;
    }
    return false;
}

/* Where the closing quote is; rest.len when there is none. */
static size_t
find_quote(struct slice rest)
{
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] == '"')
            return i;
        if (rest.ptr[i] == '\\')
            i++;
    }
    return rest.len;
}

/* After the opening quote.  A backslash takes whatever follows, as nginx. */
static bool
take_quoted(struct dialog *d, struct slice *rest, struct slice *value)
{
    struct slice inside = slice_take(*rest, find_quote(*rest));

    if (inside.len == rest->len || has_forbidden(inside))
        return false;
    *rest = slice_drop(*rest, inside.len + 1);

    dialog_begin_attempt(d);
    char *out = arena_alloc(d->arena, inside.len + 1);
    if (out == NULL) {
        d->fault = FAULT_RESOURCES;
        return false;
    }
    size_t len = 0;
    for (size_t i = 0; i < inside.len; i++) {
        if (inside.ptr[i] == '\\')
            i++;
        out[len++] = inside.ptr[i];
    }
    *value = (struct slice){out, len};
    return true;
}

/* At the opening brace.  The framer has seen to it that an accepted literal is
 * all there; one that it refused is not. */
static bool
take_literal(struct dialog *d, struct slice *rest, struct slice *value)
{
    size_t lf = slice_find(*rest, '\n');
    struct slice head = line_text(slice_take(*rest, lf + 1));
    size_t size;
    bool waits;

    if (lf == rest->len || !imap_announces_literal(head, &size, &waits) ||
        slice_find(slice_drop(head, 1), '{') != head.len - 1)
        return false;
    *rest = slice_drop(*rest, lf + 1);
    if (size > rest->len || has_forbidden(slice_take(*rest, size)))
        return false;
    *value = dialog_keep(d, slice_take(*rest, size));
    *rest = slice_drop(*rest, size);
    return true;
}

/* Up to the space; its other bytes are not looked at closely. */
static bool
take_atom(struct dialog *d, struct slice *rest, struct slice *value)
{
    struct slice atom = slice_take(*rest, slice_find(*rest, ' '));

    if (atom.len == 0 || has_control(atom))
        return false;
    *value = dialog_keep(d, atom);
    *rest = slice_drop(*rest, atom.len);
    return true;
}

static bool
take_string(struct dialog *d, struct slice *rest, struct slice *value)
{
    if (take_char(rest, '"'))
        return take_quoted(d, rest, value);
    if (rest->len > 0 && rest->ptr[0] == '{')
        return take_literal(d, rest, value);
    return false;
}

bool
imap_astring(struct dialog *d, struct slice *rest, struct slice *value)
{
    if (!take_char(rest, ' ') || rest->len == 0)
        return false;
    bool is_atom = rest->ptr[0] != '"' && rest->ptr[0] != '{';
    if (is_atom ? !take_atom(d, rest, value) : !take_string(d, rest, value))
        return false;
    return rest->len == 0 || rest->ptr[0] == ' ';
}

bool
imap_word(struct slice *rest, struct slice *word)
{
    if (!take_char(rest, ' '))
        return false;
    *word = slice_take(*rest, slice_find(*rest, ' '));
    *rest = slice_drop(*rest, word->len);
    for (size_t i = 0; i < word->len; i++) {
        if (word->ptr[i] <= ' ' || word->ptr[i] > '~')
            return false;
    }
    return word->len > 0;
}

static bool
take_nil(struct slice *rest)
{
    if (!slice_has_prefix_nocase(*rest, S("NIL")))
        return false;
    *rest = slice_drop(*rest, 3);
    return true;
}

/* Room for `in` in quotes with every byte escaped. */
static char *
put_quoted(char *out, struct slice in)
{
    *out++ = '"';
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '"' || in.ptr[i] == '\\')
            *out++ = '\\';
        *out++ = in.ptr[i];
    }
    *out++ = '"';
    return out;
}

/* One pair, written to `out` in its normal form; NULL if it is none. */
static char *
take_pair(struct dialog *d, struct slice *rest, char *out)
{
    struct slice key, value;

    if (!take_string(d, rest, &key) || key.len == 0 || key.len > ID_KEY_MAX ||
        has_control(key) || !take_char(rest, ' '))
        return NULL;
    out = put_quoted(out, key);
    *out++ = ' ';
    if (take_nil(rest)) {
        for (const char *nil = "NIL"; *nil != '\0'; nil++)
            *out++ = *nil;
        return out;
    }
    if (!take_string(d, rest, &value) || value.len > ID_VALUE_MAX ||
        has_control(value))
        return NULL;
    return put_quoted(out, value);
}

bool
imap_id_list(struct dialog *d, struct slice rest, struct slice *list)
{
    *list = S("");
    if (!take_char(&rest, ' '))
        return false;
    if (take_nil(&rest))
        return rest.len == 0;
    if (!take_char(&rest, '('))
        return false;
    if (take_char(&rest, ')'))
        return rest.len == 0;

    dialog_begin_attempt(d);
    char *start = arena_alloc(d->arena, 2 * rest.len + 2);
    char *out = start;
    size_t max = d->peer_trusted ? ID_PAIRS_MAX + ID_PAIRS_OWN : ID_PAIRS_MAX;
    for (size_t pairs = 0; out != NULL && pairs < max; pairs++) {
        out = take_pair(d, &rest, out);
        if (out == NULL)
            return false;
        *list = (struct slice){start, (size_t)(out - start)};
        if (take_char(&rest, ')'))
            return rest.len == 0;
        if (!take_char(&rest, ' '))
            return false;
        *out++ = ' ';
    }
    return false;
}
