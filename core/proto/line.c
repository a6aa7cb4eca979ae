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
