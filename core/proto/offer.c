#include "proto/offer.h"

#include "base/check.h"
#include "base/slice.h"
#include "proto/dialog.h"

bool
offer_next(struct slice *list, struct slice *line)
{
    do {
        if (list->len == 0)
            return false;
        *line = slice_cut(list, '\n');
        slice_drop_suffix(line, S("\r"));
    } while (line->len == 0);
    return true;
}

struct slice
offer_keyword(struct slice line)
{
    struct slice word = slice_cut(&line, ' ');

    return slice_cut(&word, '=');
}

bool
offer_has(struct slice list, struct slice keyword)
{
    struct slice line;

    while (offer_next(&list, &line)) {
        if (slice_equal_nocase(offer_keyword(line), keyword))
            return true;
    }
    return false;
}

static bool
is_printable(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < ' ' || line.ptr[i] > '~')
            return false;
    }
    return true;
}

bool
offer_may_pass(struct slice line, const char *const *dropped)
{
    struct slice keyword = offer_keyword(line);

    for (; *dropped != NULL; dropped++) {
        if (slice_spells(keyword, *dropped))
            return false;
    }
    return is_printable(line);
}

struct slice
offer_filter(struct dialog *d, struct slice list, const char *const *dropped)
{
    dialog_begin_attempt(d);
    char *kept = arena_alloc(d->arena, list.len + 1);
    if (kept == NULL) {
        d->fault = FAULT_RESOURCES;
        return S("");
    }

    size_t len = 0;
    struct slice line;
    while (offer_next(&list, &line)) {
        if (!offer_may_pass(line, dropped))
            continue;
        if (len > 0)
            kept[len++] = '\n';
        memcpy(kept + len, line.ptr, line.len);
        len += line.len;
    }
    return (struct slice){kept, len};
}

void
offer_mechanisms(const struct dialog *d, char out[OFFER_MECHANISMS_MAX])
{
    char *end = out;

    for (unsigned m = MECHANISM_PLAIN; m < MECHANISM_COUNT; m++) {
        if ((d->mechanisms & MECHANISM_BIT(m)) == 0 || m == MECHANISM_APOP ||
            !dialog_offers(d, (enum mechanism)m))
            continue;
        struct slice name = slice_of(mechanism_name((enum mechanism)m));
        require(name.len + 1 < (size_t)(out + OFFER_MECHANISMS_MAX - end));
        *end++ = ' ';
        memcpy(end, name.ptr, name.len);
        end += name.len;
    }
    *end = '\0';
}
