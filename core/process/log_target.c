#include "process/log_target.h"

#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"
#define PACKET_MAX    8192
#define WAIT_MS       1000

/* RFC 3164 4.1.1.  <syslog.h> has them too, but also a LOG_INFO of its own. */
static const struct {
    const char *name;
    int number;
} facilities[] = {
    {"user", 1},      {"mail", 2},    {"daemon", 3},  {"auth", 4},
    {"authpriv", 10}, {"local0", 16}, {"local1", 17}, {"local2", 18},
    {"local3", 19},   {"local4", 20}, {"local5", 21}, {"local6", 22},
    {"local7", 23},
};

static bool
find_facility(const char *name, int *facility, struct error *err)
{
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++) {
        if (strcmp(facilities[i].name, name) == 0) {
            *facility = facilities[i].number;
            return true;
        }
    }
    return error_set(err, "syslog has no facility \"%s\"", name);
}

static bool
connect_to_syslog(int fd)
{
    struct sockaddr_un daemon = {.sun_family = AF_UNIX,
                                 .sun_path = SYSLOG_SOCKET};

    return connect(fd, (const struct sockaddr *)&daemon, sizeof daemon) == 0;
}

static bool
open_syslog(const char *facility, struct log_target *target, struct error *err)
{
    if (!find_facility(facility, &target->facility, err))
        return false;
    target->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (target->fd < 0)
        return error_set(err, "socket: %s", strerror(errno));
    if (!connect_to_syslog(target->fd)) {
        (void)error_set(err, SYSLOG_SOCKET ": %s", strerror(errno));
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
    target->facility = -1;
    target->fd = open(path, flags, 0640);
    if (target->fd < 0)
        return error_set(err, "%s: %s", path, strerror(errno));
    return true;
}

bool
log_target_open(const char *text, struct log_target *target, struct error *err)
{
    bool opened;

    if (strcmp(text, "stderr") == 0) {
        target->facility = -1;
        target->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        opened = target->fd >= 0 ||
                 error_set(err, "standard error: %s", strerror(errno));
    } else if (strncmp(text, "syslog:", 7) == 0) {
        opened = open_syslog(text + 7, target, err);
    } else {
        opened = open_file(text, target, err);
    }
    return opened || error_context(err, "log");
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
wait_for_room(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    if (poll(&room, 1, WAIT_MS) > 0)
        return true;
    errno = EAGAIN;
    return false;
}

static bool
write_lines(int fd, struct slice bytes, bool *torn)
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
        if (written == 0 || errno != EAGAIN || !wait_for_room(fd))
            return false;
    }
    return true;
}

static bool
write_packet(const struct log_target *target, enum log_level level,
             struct slice line)
{
    static const int severities[] = {
        [LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7};
    char packet[PACKET_MAX];
    int len = snprintf(packet, sizeof packet, "<%d>moongate[%d]: %.*s",
                       target->facility * 8 + severities[level], (int)getpid(),
                       (int)line.len, line.ptr);
    size_t size = (size_t)len < sizeof packet ? (size_t)len : sizeof packet - 1;

    for (int tries = 0; tries < 3; tries++) {
        if (send(target->fd, packet, size, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno == EAGAIN && !wait_for_room(target->fd))
            return false;
        /* The daemon was restarted: its socket is a new one. */
        if (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET)
            (void)connect_to_syslog(target->fd);
    }
    return false;
}

bool
log_target_write(const struct log_target *target, enum log_level level,
                 struct slice bytes, bool *torn)
{
    if (target->facility >= 0)
        return write_packet(target, level, bytes);
    return write_lines(target->fd, bytes, torn);
}
