#include "proto/line.h"

#include "base/slice.h"

enum parse
line_frame(struct framer *f, struct slice in, size_t max, struct slice *line)
{
    struct slice unseen = slice_drop(in, f->seen);
    size_t at = slice_find(unseen, '\n');

    if (at == unseen.len) {
        f->seen = in.len;
        return in.len < max ? PARSE_MORE : PARSE_BAD;
    }
    *line = slice_take(in, f->seen + at + 1);
    f->seen = 0;
    return line->len <= max ? PARSE_DONE : PARSE_BAD;
}

struct slice
line_text(struct slice line)
{
    slice_drop_suffix(&line, S("\n"));
    slice_drop_suffix(&line, S("\r"));
    return line;
}

struct slice
line_trim_end(struct slice line)
{
    while (line.len > 0 && line.ptr[line.len - 1] == ' ')
        line.len--;
    return line;
}

struct slice
line_keep_text(struct dialog *d, struct slice text)
{
    text = line_text(text);
    dialog_begin_attempt(d);
    char *copy = arena_alloc(d->arena, text.len + 1);
    if (copy == NULL) {
        d->fault = FAULT_RESOURCES;
        return S("");
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool ends_line = c == '\n' || (c == '\r' && i + 1 < text.len &&
                                       text.ptr[i + 1] == '\n');
        bool is_fit = ends_line || !has_control((struct slice){&c, 1});
        copy[i] = (char)(is_fit ? c : '?');
    }
    return (struct slice){copy, text.len};
}
