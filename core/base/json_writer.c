#include "base/json_writer.h"

#include "base/log.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 4096 /* bytes of a text, escaped */

static void
put(struct json_writer *w, struct slice bytes)
{
    w->full |= !buf_append(w->out, bytes);
}

static void
put_name(struct json_writer *w, const char *name)
{
    if (w->comma)
        put(w, S(","));
    w->comma = true;
    if (name == NULL)
        return;
    put(w, S("\""));
    put(w, slice_of(name));
    put(w, S("\":"));
}

void
json_begin(struct json_writer *w, const char *name, char bracket)
{
    put_name(w, name);
    put(w, (struct slice){&bracket, 1});
    w->comma = false;
}

void
json_end(struct json_writer *w, char bracket)
{
    put(w, (struct slice){&bracket, 1});
    w->comma = true;
}

void
json_text(struct json_writer *w, const char *name, struct slice value)
{
    char safe[TEXT_MAX];

    put_name(w, name);
    put(w, S("\""));
    put(w, slice_of(log_escape_json(value, safe, sizeof safe)));
    put(w, S("\""));
}

void
json_whole(struct json_writer *w, const char *name, struct slice value)
{
    size_t size = 6 * value.len + 8;
    char *safe = xmalloc(size);

    put_name(w, name);
    put(w, S("\""));
    put(w, slice_of(log_escape_json(value, safe, size)));
    put(w, S("\""));
    explicit_bzero(safe, size);
    free(safe);
}

bool
json_is_word(const char *name)
{
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

void
json_given(struct json_writer *w, const char *name, struct slice value)
{
    if (value.len > 0)
        json_text(w, name, value);
}

void
json_number(struct json_writer *w, const char *name, double value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.14g", value);
    json_raw(w, name, slice_of(text));
}

void
json_flag(struct json_writer *w, const char *name, bool value)
{
    json_raw(w, name, value ? S("true") : S("false"));
}

void
json_null(struct json_writer *w, const char *name)
{
    json_raw(w, name, S("null"));
}

void
json_raw(struct json_writer *w, const char *name, struct slice value)
{
    put_name(w, name);
    put(w, value);
}
