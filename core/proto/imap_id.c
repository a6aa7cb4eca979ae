#include "proto/imap_id.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/imap_args.h"
#include "proto/imap_login.h"

/* Takes `"text"` off the front: `*quoted` with its quotes, and what it means in
 * `out`, which has room for all of it. */
static bool
take_quoted(struct slice *rest, struct slice *quoted, char *out, size_t *len)
{
    size_t i = 1;

    *len = 0;
    if (rest->len == 0 || rest->ptr[0] != '"')
        return false;
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        if (rest->ptr[i] == '\\')
            i++;
        if (i < rest->len && *len < ID_VALUE_MAX)
            out[(*len)++] = rest->ptr[i];
    }
    *quoted = slice_take(*rest, i + 1);
    *rest = slice_drop(*rest, i + 1);
    return true;
}

/* One pair: what of it is for gateways only is taken, if it may be told;
 * `*is_own` says that the client's list is to have it. */
static bool
take_pair(struct dialog *d, struct slice *rest, bool *is_own)
{
    char key_text[ID_VALUE_MAX], value_text[ID_VALUE_MAX];
    struct slice quoted;
    struct slice key = {key_text, 0}, value = {value_text, 0};

    *is_own = false;
    if (!take_quoted(rest, &quoted, key_text, &key.len))
        return false;
    *rest = slice_drop(*rest, 1);
    if (!take_quoted(rest, &quoted, value_text, &value.len))
        *rest = slice_drop(*rest, 3); /* NIL */
    *is_own = !identity_owns_key(key);
    return d->peer_trusted && !*is_own && value.len > 0 &&
           identity_take_imap(d, key, value) == IDENTITY_TAKEN;
}

bool
imap_id_take(struct dialog *d, struct slice list)
{
    bool told = false, is_own;
    size_t len = 0;

    /* No client's pairs are longer without those of gateways. */
    char *kept = d->client_id.len == 0 && list.len > 0
                     ? arena_alloc(d->arena, list.len)
                     : NULL;
    while (list.len > 0) {
        struct slice before = list;
        told |= take_pair(d, &list, &is_own);
        struct slice pair = slice_take(before, before.len - list.len);
        list = slice_drop(list, 1);
        if (kept == NULL || !is_own)
            continue;
        if (len > 0)
            kept[len++] = ' ';
        memcpy(kept + len, pair.ptr, pair.len);
        len += pair.len;
    }
    if (kept != NULL)
        d->client_id = (struct slice){kept, len};
    return told;
}

struct slice
imap_id_tag(const struct dialog *d)
{
    return slice_equal_nocase(imap_login_tag(d), S("I")) ? S("J") : S("I");
}

bool
imap_id_tell(struct dialog *d, bool offered)
{
    bool is_first = d->client_id.len == 0;

    if (!identity_is_wanted(d, offered))
        return false;
    dialog_put_upstream(d, imap_id_tag(d));
    dialog_put_upstream(d, S(" ID ("));
    dialog_put_upstream(d, d->client_id);
    for (unsigned i = 0; i < IDENTITY_COUNT; i++) {
        const char *key = identity_imap_key((enum identity_fact)i);
        struct slice value = d->identity.facts[i];
        if (key == NULL || value.len == 0 || has_control(value))
            continue;
        dialog_put_upstream(d, is_first ? S("") : S(" "));
        dialog_put_quoted(d, slice_of(key));
        dialog_put_upstream(d, S(" "));
        dialog_put_quoted(d, value);
        is_first = false;
    }
    dialog_put_upstream(d, S(")\r\n"));
    return true;
}
