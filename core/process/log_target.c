#include "process/log_target.h"

#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"
#define SYSLOG_PORT   514
#define PACKET_MAX    8192
#define WAIT_MS       1000

/* RFC 3164 4.1.1.  <syslog.h> has them too, but also a LOG_INFO of its own. */
static const struct {
    const char *name;
    int number;
} facilities[] = {
    {"kern", 0},    {"user", 1},    {"mail", 2},      {"daemon", 3},
    {"auth", 4},    {"intern", 5},  {"lpr", 6},       {"news", 7},
    {"uucp", 8},    {"clock", 9},   {"authpriv", 10}, {"ftp", 11},
    {"ntp", 12},    {"audit", 13},  {"alert", 14},    {"cron", 15},
    {"local0", 16}, {"local1", 17}, {"local2", 18},   {"local3", 19},
    {"local4", 20}, {"local5", 21}, {"local6", 22},   {"local7", 23},
};

static bool
find_facility(struct slice name, int *facility, struct error *err)
{
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++) {
        if (slice_equal(slice_of(facilities[i].name), name)) {
            *facility = facilities[i].number;
            return true;
        }
    }
    return error_set(err, "syslog has no facility \"%.*s\"", (int)name.len,
                     name.ptr);
}

/* A path without "unix:", as messages have it. */
static const char *
name_of(const struct addr *a, char text[ADDR_TEXT_MAX])
{
    return addr_is_local(a) ? a->local.sun_path : addr_format(a, text);
}

static bool
connect_to_syslog(const struct log_target *target)
{
    return connect(target->fd, &target->server.any, target->server.len) == 0;
}

static bool
take_tag(struct slice tag, struct log_target *target, struct error *err)
{
    if (tag.len == 0 || tag.len > LOG_TAG_MAX)
        return error_set(err, "syslog: a tag has 1 to %d characters",
                         LOG_TAG_MAX);
    for (size_t i = 0; i < tag.len; i++) {
        char c = ascii_lower(tag.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return error_set(err, "syslog: a tag has letters, digits and _");
    }
    memcpy(target->tag, tag.ptr, tag.len);
    target->tag[tag.len] = '\0';
    return true;
}

static bool
take_server(struct slice address, struct log_target *target, struct error *err)
{
    target->remote = true;
    return addr_parse(address, SYSLOG_PORT, &target->server, err) ||
           error_context(err, "syslog");
}

static bool
take_parameter(struct slice parameter, struct log_target *target,
               struct error *err)
{
    struct slice value = parameter;
    struct slice name = slice_cut(&value, '=');

    if (slice_equal(name, S("server")))
        return take_server(value, target, err);
    if (slice_equal(name, S("tag")))
        return take_tag(value, target, err);
    target->nameless = slice_equal(parameter, S("nohostname"));
    return target->nameless ||
           error_set(err, "syslog has no parameter \"%.*s\"",
                     (int)parameter.len, parameter.ptr);
}

/* "FACILITY[,server=ADDRESS][,tag=TAG][,nohostname]" */
static bool
parse_syslog(struct slice text, struct log_target *target, struct error *err)
{
    struct slice facility = slice_cut(&text, ',');

    if (!find_facility(facility, &target->facility, err) ||
        !addr_parse(S("unix:" SYSLOG_SOCKET), 0, &target->server, err) ||
        !take_tag(S("moongate"), target, err))
        return false;
    while (text.len > 0) {
        if (!take_parameter(slice_cut(&text, ','), target, err))
            return false;
    }
    return true;
}

static bool
open_syslog(struct slice text, struct log_target *target, struct error *err)
{
    char name[ADDR_TEXT_MAX];

    if (!parse_syslog(text, target, err))
        return false;
    target->fd = socket(target->server.any.sa_family,
                        SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (target->fd < 0)
        return error_set(err, "socket: %s", strerror(errno));
    if (!connect_to_syslog(target)) {
        (void)error_set(err, "%s: %s", name_of(&target->server, name),
                        strerror(errno));
        log_target_close(target);
        return false;
    }
    return true;
}

static bool
open_file(const char *path, struct log_target *target, struct error *err)
{
    int flags =
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    if (strncmp(path, "/dev/", 5) != 0)
        flags |= O_NOFOLLOW;
    target->fd = open(path, flags, 0640);
    if (target->fd < 0)
        return error_set(err, "%s: %s", path, strerror(errno));
    return true;
}

static bool
open_target(char *line, struct log_target *target, struct error *err)
{
    char *text = line;

    *target = (struct log_target){.fd = -1, .facility = -1};
    target->level = (enum log_level)strtoul(line, &text, 10);
    text += *text == ' ';
    if (strcmp(text, "stderr") == 0) {
        target->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        return target->fd >= 0 ||
               error_set(err, "standard error: %s", strerror(errno));
    }
    if (strncmp(text, "syslog:", 7) == 0)
        return open_syslog(slice_of(text + 7), target, err);
    return open_file(text, target, err);
}

bool
log_targets_open(const char *text, struct log_targets *targets,
                 struct error *err)
{
    char *lines = xstrndup(text, strlen(text)), *rest = NULL;
    bool opened = true;

    targets->count = 0;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL && opened;
         line = strtok_r(NULL, "\n", &rest)) {
        if (targets->count == LOG_TARGETS_MAX)
            opened = error_set(err, "at most %d places", LOG_TARGETS_MAX);
        else if (open_target(line, &targets->all[targets->count], err))
            targets->count++;
        else
            opened = false;
    }
    free(lines);
    if (opened)
        return true;
    log_targets_close(targets);
    return error_context(err, "log");
}

void
log_targets_close(struct log_targets *targets)
{
    while (targets->count > 0)
        log_target_close(&targets->all[--targets->count]);
}

bool
log_targets_copy(const struct log_targets *from, struct log_targets *copy,
                 struct error *err)
{
    copy->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        struct log_target *t = &copy->all[i];
        *t = from->all[i];
        t->fd = fcntl(from->all[i].fd, F_DUPFD_CLOEXEC, 3);
        if (t->fd < 0) {
            (void)error_set(err, "log: %s", strerror(errno));
            log_targets_close(copy);
            return false;
        }
        copy->count++;
    }
    return true;
}

void
log_target_close(struct log_target *target)
{
    if (target->fd >= 0)
        (void)close(target->fd);
    target->fd = -1;
}

/* After EAGAIN, which only a descriptor that does not block gives. */
static bool
wait_for_room(int fd, bool patient)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    if (poll(&room, 1, patient ? WAIT_MS : 0) > 0)
        return true;
    errno = EAGAIN;
    return false;
}

static bool
write_lines(int fd, struct slice bytes, bool patient, bool *torn)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written > 0) {
            *torn = (size_t)written < bytes.len;
            bytes = slice_drop(bytes, (size_t)written);
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        if (written == 0 || errno != EAGAIN || !wait_for_room(fd, patient))
            return false;
    }
    return true;
}

/* What stands before the line, RFC 3164 4.1; its length. */
static size_t
write_header(const struct log_target *target, int severity, char *into,
             size_t size)
{
    char host[HOST_NAME_MAX + 2] = "", when[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    int len;

    if (!target->remote)
        len = snprintf(into, size,
                       "<%d>%s[%d]: ", target->facility * 8 + severity,
                       target->tag, (int)getpid());
    else {
        (void)strftime(when, sizeof when, "%b %e %H:%M:%S",
                       localtime_r(&now, &parts));
        if (!target->nameless && gethostname(host, HOST_NAME_MAX) == 0)
            host[strlen(host)] = ' ';
        len = snprintf(into, size,
                       "<%d>%s %s%s: ", target->facility * 8 + severity, when,
                       host, target->tag);
    }
    return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

static bool
write_packet(const struct log_target *target, enum log_level level,
             struct slice line, bool patient)
{
    static const int severities[] = {
        [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7};
    char packet[PACKET_MAX];
    size_t size =
        write_header(target, severities[level], packet, sizeof packet);

    line = slice_take(line, sizeof packet - size);
    memcpy(packet + size, line.ptr, line.len);
    size += line.len;
    for (int tries = 0; tries < 3; tries++) {
        if (send(target->fd, packet, size, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno == EAGAIN && !wait_for_room(target->fd, patient))
            return false;
        /* The daemon was restarted: its socket is a new one. */
        if (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET)
            (void)connect_to_syslog(target);
    }
    return false;
}

bool
log_target_write(const struct log_target *target, enum log_level level,
                 struct slice bytes, bool patient, bool *torn)
{
    if (target->facility < 0)
        return write_lines(target->fd, bytes, patient, torn);
    (void)slice_drop_suffix(&bytes, S("\n"));
    return bytes.len == 0 || write_packet(target, level, bytes, patient);
}
