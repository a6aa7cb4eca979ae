#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ARGUMENT_MAX 32

/* Blocks of each size that malloc keeps at hand.  Its 7 are few where many
 * logins run at a time, and it is only told before a process begins. */
#define TUNABLES "glibc.malloc.tcache_count=100"

/* In the child, between fork and exec: only calls that are safe there. */
_Noreturn static void
become(const char *role, const char *argument, int fd)
{
    char name[] = "moongate", role_copy[ARGUMENT_MAX];
    char argument_copy[ARGUMENT_MAX];
    char *argv[] = {name, role_copy, argument_copy, NULL};
    sigset_t none;

    (void)strncpy(role_copy, role, sizeof role_copy - 1);
    role_copy[sizeof role_copy - 1] = '\0';
    (void)strncpy(argument_copy, argument, sizeof argument_copy - 1);
    argument_copy[sizeof argument_copy - 1] = '\0';
    if (fd == SPAWN_FD) {
        if (fcntl(fd, F_SETFD, 0) != 0)
            _exit(127);
    } else if (dup2(fd, SPAWN_FD) != SPAWN_FD) {
        _exit(127);
    }
    (void)close_range(SPAWN_FD + 1, ~0U, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv("/proc/self/exe", argv);
    _exit(127);
}

bool
spawn(const char *role, const char *argument, struct child *child,
      struct error *err)
{
    /* A child reads what it needs first thing; one that does not is broken. */
    struct timeval send_limit = {5, 0};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(err, "socketpair: %s", strerror(errno));
    (void)setenv("GLIBC_TUNABLES", TUNABLES, 0); /* the operator's stand */
    child->pid = fork();
    if (child->pid < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return error_set(err, "fork: %s", strerror(errno));
    }
    if (child->pid == 0)
        become(role, argument, ends[1]);
    (void)close(ends[1]);
    child->fd = ends[0];
    (void)setsockopt(child->fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit,
                     sizeof send_limit);
    return true;
}
