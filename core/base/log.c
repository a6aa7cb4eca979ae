#include "base/log.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static void
write_to_stderr(enum log_level level, struct slice line)
{
    (void)level;
    (void)fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

static struct {
    enum log_level level;
    enum log_format format;
    log_sink sink;
} logger = {LOG_INFO, LOG_TEXT, write_to_stderr};

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void
log_set_level(enum log_level level)
{
    logger.level = level;
}

void
log_set_format(enum log_format format)
{
    logger.format = format;
}

void
log_set_sink(log_sink sink)
{
    logger.sink = sink != NULL ? sink : write_to_stderr;
}

enum log_format
log_get_format(void)
{
    return logger.format;
}

bool
log_enabled(enum log_level level)
{
    return level <= logger.level;
}

void
log_line(enum log_level level, struct slice line)
{
    logger.sink(level, line);
}

void
log_time(char out[25])
{
    struct timespec now;
    struct tm utc;
    char seconds[20];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, 25, "%s.%03uZ", seconds,
                   (unsigned)(now.tv_nsec / 1000000) % 1000);
}

/* RFC 3629: how the sequences that some first bytes begin go on; 0xc2 0x80 to
 * 0x9f are control characters. */
static const struct {
    unsigned char first, from, upto;
} second_bytes[] = {
    {0xc2, 0xa0, 0xbf}, {0xe0, 0xa0, 0xbf}, {0xed, 0x80, 0x9f},
    {0xf0, 0x90, 0xbf}, {0xf4, 0x80, 0x8f},
};

static size_t
utf8_len_by_first(unsigned char first)
{
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

/* Length of the UTF-8 sequence at the start of `s`, or 0 if it is none. */
static size_t
utf8_len(const unsigned char *s, size_t left)
{
    size_t len = utf8_len_by_first(s[0]);

    if (len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    for (size_t i = 0;
         len > 0 && i < sizeof second_bytes / sizeof second_bytes[0]; i++) {
        if (s[0] == second_bytes[i].first &&
            (s[1] < second_bytes[i].from || s[1] > second_bytes[i].upto))
            return 0;
    }
    return len;
}

/* One byte that may not stand as it is; at most 6 bytes and a NUL. */
static size_t
write_escaped(char *out, unsigned char byte, bool json)
{
    return (size_t)snprintf(out, 7, json ? "\\u%04x" : "\\x%02x", byte);
}

/* Copies what is plain or UTF-8 and escapes the rest. */
static const char *
escape(struct slice bytes, bool json, char *out, size_t size)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t used = 0;

    for (size_t i = 0; i < bytes.len;) {
        bool plain =
            in[i] >= 0x20 && in[i] < 0x7f && in[i] != '"' && in[i] != '\\';
        size_t len = plain ? 1 : utf8_len(in + i, bytes.len - i);
        if (used + 6 >= size)
            break;
        if (len > 0)
            memcpy(out + used, in + i, len);
        used += len > 0 ? len : write_escaped(out + used, in[i], json);
        i += len > 0 ? len : 1;
    }
    out[used] = '\0';
    return out;
}

const char *
log_escape(struct slice bytes, char *out, size_t size)
{
    return escape(bytes, false, out, size);
}

const char *
log_escape_json(struct slice bytes, char *out, size_t size)
{
    return escape(bytes, true, out, size);
}

void
log_write(enum log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES], quoted[2 * LINE_MAX_BYTES];
    char line[2 * LINE_MAX_BYTES + 128], now[25];
    va_list arguments;
    int len;

    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    log_time(now);
    if (logger.format == LOG_JSON) {
        (void)log_escape_json(slice_of(text), quoted, sizeof quoted);
        len = snprintf(line, sizeof line,
                       "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,"
                       "\"message\":\"%s\"}",
                       now, level_names[level], (int)getpid(), quoted);
    } else {
        for (char *c = text; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x20 && *c != '\t')
                *c = ' ';
        }
        len = snprintf(line, sizeof line, "%s %s [%d] %s", now,
                       level_names[level], (int)getpid(), text);
    }
    require(len > 0);
    logger.sink(level, (struct slice){line, (size_t)len});
}
