#include "proto/capabilities.h"

#include "base/slice.h"
#include "proto/dialog.h"

bool
capabilities_are_of(const struct capabilities *c, struct slice said)
{
    return c != NULL && c->said_len > 0 &&
           slice_equal(said, (struct slice){c->said, c->said_len});
}

static bool
is_fit(struct slice text)
{
    while (text.len > 0) {
        if (has_control(slice_cut(&text, '\n')))
            return false;
    }
    return true;
}

/* As much as there is room for, and no half capability at the end. */
static struct slice
cut_to_size(struct slice text)
{
    size_t len = text.len;

    if (len <= CAPABILITIES_MAX)
        return text;
    len = CAPABILITIES_MAX;
    while (len > 0 && text.ptr[len] != ' ' && text.ptr[len] != '\n')
        len--;
    return slice_take(text, len);
}

bool
capabilities_learn(struct capabilities *c, struct slice said, struct slice text)
{
    if (c == NULL || !is_fit(text))
        return false;
    text = cut_to_size(text);
    if (text.len > 0)
        memcpy(c->text, text.ptr, text.len);
    c->len = text.len;
    c->known = true;
    c->said_len = said.len <= sizeof c->said ? said.len : 0;
    if (c->said_len > 0)
        memcpy(c->said, said.ptr, said.len);
    return true;
}
