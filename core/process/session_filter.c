#include "process/session_filter.h"

#include "base/slice.h"
#include "proto/dialog.h"
#include "proto/proto.h"

static const char *const phases[] = {
#define PHASE(id, name, next) #name,
#include "session/phases.def"
#undef PHASE
};

/* The texts of a filter, by the names they are given under. */
static const struct field {
    const char *name;
    size_t at, size;
} fields[] = {
#define FIELD(name) \
    { \
#name, offsetof(struct session_filter, name), \
            sizeof((struct session_filter *)NULL)->name \
    }
    FIELD(user),     FIELD(session),  FIELD(ip),
    FIELD(protocol), FIELD(listener), FIELD(phase),
#undef FIELD
};

#define FIELDS (sizeof fields / sizeof fields[0])

static char *
text_of(struct session_filter *f, const struct field *field)
{
    return (char *)f + field->at;
}

static const char *
const_text_of(const struct session_filter *f, const struct field *field)
{
    return (const char *)f + field->at;
}

void
session_filter_init(struct session_filter *f)
{
    *f = (struct session_filter){.user = ""};
}

static bool
is_phase(struct slice name)
{
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (slice_equal(name, slice_of(phases[i])))
            return true;
    }
    return false;
}

/* What only some values make sense for. */
static bool
check(struct session_filter *f, struct slice name, struct slice value,
      struct error *err)
{
    struct network network;

    if (slice_equal(name, S("ip"))) {
        if (!network_parse(value, &network, err))
            return error_context(err, "ip");
        f->network = network;
    }
    if (slice_equal(name, S("protocol")) && proto_find(value) == NULL)
        return error_set(err, "protocol: imap, pop3 or smtp expected");
    if (slice_equal(name, S("phase")) && !is_phase(value))
        return error_set(err, "phase: there is none of that name");
    return true;
}

bool
session_filter_set(struct session_filter *f, struct slice name,
                   struct slice value, struct error *err)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *field = &fields[i];
        if (!slice_equal(name, slice_of(field->name)))
            continue;
        if (value.len == 0)
            return error_set(err, "%s: it is empty", field->name);
        if (value.len >= field->size)
            return error_set(err, "%s: it is too long", field->name);
        if (has_control(value))
            return error_set(err, "%s: a control character", field->name);
        if (!check(f, name, value, err))
            return false;
        memcpy(text_of(f, field), value.ptr, value.len);
        text_of(f, field)[value.len] = '\0';
        return true;
    }
    return error_set(err, "there is no such filter");
}

bool
session_filter_is_narrow(const struct session_filter *f)
{
    return f->user[0] != '\0' || f->session[0] != '\0' || f->ip[0] != '\0';
}

static bool
agrees(const char *wanted, struct slice is)
{
    return wanted[0] == '\0' || slice_equal(slice_of(wanted), is);
}

bool
session_filter_matches(const struct session_filter *f,
                       const struct session_facts *facts)
{
    return agrees(f->user, facts->user) && agrees(f->session, facts->id) &&
           agrees(f->listener, facts->listener) &&
           agrees(f->phase, facts->phase) &&
           (f->protocol[0] == '\0' ||
            slice_equal_nocase(slice_of(f->protocol), facts->protocol)) &&
           (f->ip[0] == '\0' ||
            networks_contain(&f->network, 1, facts->client));
}

void
session_filter_put(const struct session_filter *f, struct message *m)
{
    for (size_t i = 0; i < FIELDS; i++)
        message_put_text(m, slice_of(const_text_of(f, &fields[i])));
}

bool
session_filter_get(struct session_filter *f, struct message *m)
{
    struct error err;

    session_filter_init(f);
    for (size_t i = 0; i < FIELDS; i++) {
        struct slice value = message_get_text(m);
        if (value.len > 0 &&
            !session_filter_set(f, slice_of(fields[i].name), value, &err))
            return false;
    }
    return !m->bad;
}
