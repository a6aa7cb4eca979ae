/* line.h -- one line, and the words in it. */
#pragma once

#include "base/types.h"
#include "proto/dialog.h"

/* Looks for one line at the start of `in`: PARSE_DONE with `*line` covering it
 * and its newline, PARSE_MORE, or PARSE_BAD once it is longer than `max`. */
enum parse line_frame(struct framer *f, struct slice in, size_t max,
                      struct slice *line);

/* The line without its CRLF or LF. */
struct slice line_text(struct slice line);

/* The line without spaces at its end. */
struct slice line_trim_end(struct slice line);

/* A copy of an upstream's words in the arena, that can be logged and passed
 * on: control characters but the newlines between lines become '?'. */
struct slice line_keep_text(struct dialog *d, struct slice text);
