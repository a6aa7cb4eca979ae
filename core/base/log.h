/* log.h -- leveled messages for the operator, one line each.
 *
 * A line goes to whatever sink the process has set: standard error at first,
 * later the bounded ring of process/log_writer.c, so that a slow disk never
 * stalls the loop.  Bytes from outside are escaped by the writer of the line
 * (log_escape); secrets are a type of their own that no function here takes. */
#pragma once

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Takes one finished line without its newline; must not block. */
typedef void (*log_sink)(enum log_level level, struct slice line);

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
void log_set_sink(log_sink sink); /* NULL: standard error */
enum log_format log_get_format(void);
bool log_enabled(enum log_level level);

/* Adds time, level and process id to `format` and hands it to the sink. */
void log_write(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) \
    (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)

/* Writes `bytes` into `out` so that they can't forge a line: control bytes,
 * quotes, backslashes and bytes from 0x7f up that are not UTF-8 become \xNN.
 * Cuts at `size - 1`, always terminates; returns `out`. */
const char *log_escape(struct slice bytes, char *out, size_t size);

/* The same for the inside of a JSON string. */
const char *log_escape_json(struct slice bytes, char *out, size_t size);

/* A finished line of another writer, such as the session log, to the sink. */
void log_line(enum log_level level, struct slice line);

/* Wall clock of now, "2026-11-22T08:13:14.123Z", into 25 bytes. */
void log_time(char out[25]);
