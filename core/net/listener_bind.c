#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG    511
#define LOCAL_MODE 0666

static bool
set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* A zero stands for the system's own setting. */
static bool
set_unless_zero(int fd, int level, int option, int value)
{
    return value == 0 || set(fd, level, option, value);
}

static bool
set_keepalive(int fd, const struct listen_options *o)
{
    bool on = o->keepalive_idle >= 0;

    if (!set(fd, SOL_SOCKET, SO_KEEPALIVE, on))
        return false;
    return !on ||
           (set_unless_zero(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepalive_idle) &&
            set_unless_zero(fd, IPPROTO_TCP, TCP_KEEPINTVL,
                            o->keepalive_interval) &&
            set_unless_zero(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count));
}

/* What the accepted connections inherit, set before the first can come. */
static bool
set_options(int fd, const struct addr *a, const struct listen_options *o)
{
    if (!set_unless_zero(fd, SOL_SOCKET, SO_RCVBUF, o->receive_buffer) ||
        !set_unless_zero(fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer))
        return false;
    if (addr_is_local(a))
        return true;
    if (a->any.sa_family == AF_INET6 &&
        !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6_only))
        return false;
    return set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set_keepalive(fd, o);
}

static int
open_socket(const struct addr *a)
{
    return socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  0);
}

/* Another program that shares its port would silently get half of our
 * connections; without SO_REUSEPORT the kernel says that the port is taken. */
static bool
probe(const struct addr *a, const struct listen_options *o)
{
    int fd = open_socket(a);
    if (fd < 0)
        return false;
    bool is_free = set_options(fd, a, o) && bind(fd, &a->any, a->len) == 0;
    int error = errno;
    (void)close(fd);
    errno = error;
    return is_free;
}

/* Removes the socket file of a program that has gone; leaves everything that
 * is alive or not a socket for bind(2) to complain about. */
static void
remove_stale(const struct addr *a)
{
    struct stat st;

    if (lstat(a->local.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = open_socket(a);
    if (fd < 0)
        return;
    if (connect(fd, &a->any, a->len) != 0 && errno == ECONNREFUSED)
        (void)unlink(a->local.sun_path);
    (void)close(fd);
}

/* Between bind and listen nobody can connect, so the mode is never too wide. */
static bool
bind_local(int fd, const struct addr *a, const struct listen_options *o)
{
    mode_t mode = o->mode != 0 ? (mode_t)o->mode : LOCAL_MODE;

    remove_stale(a);
    return bind(fd, &a->any, a->len) == 0 &&
           chmod(a->local.sun_path, mode) == 0 &&
           (!o->owned || chown(a->local.sun_path, o->owner, o->group) == 0);
}

static bool
bind_port(int fd, const struct addr *a, const struct listen_options *o)
{
    if (o->reuse_port) {
        if (!o->joins && addr_port(a) != 0 && !probe(a, o))
            return false;
        if (!set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
            return false;
    }
    return bind(fd, &a->any, a->len) == 0;
}

static int
backlog_of(const struct listen_options *o)
{
    return o->backlog > 0 ? o->backlog : BACKLOG;
}

int
listener_bind(const struct addr *a, const struct listen_options *o,
              struct error *err)
{
    char text[ADDR_TEXT_MAX];

    int fd = open_socket(a);
    if (fd < 0) {
        error_set(err, "socket for %s: %s", addr_format(a, text),
                  strerror(errno));
        return -1;
    }
    bool bound =
        set_options(fd, a, o) &&
        (addr_is_local(a) ? bind_local(fd, a, o) : bind_port(fd, a, o));
    if (!bound)
        error_set(err, "bind %s: %s", addr_format(a, text), strerror(errno));
    else if (listen(fd, backlog_of(o)) == 0)
        return fd;
    else
        error_set(err, "listen on %s: %s", addr_format(a, text),
                  strerror(errno));
    (void)close(fd);
    return -1;
}

/* Nothing of this can fail on a socket that it was done to before. */
void
listener_adjust(int fd, const struct addr *a, const struct listen_options *o)
{
    (void)set_unless_zero(fd, SOL_SOCKET, SO_RCVBUF, o->receive_buffer);
    (void)set_unless_zero(fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer);
    (void)listen(fd, backlog_of(o));
    if (!addr_is_local(a))
        (void)set_keepalive(fd, o);
    else
        (void)chmod(a->local.sun_path,
                    o->mode != 0 ? (mode_t)o->mode : LOCAL_MODE);
}
