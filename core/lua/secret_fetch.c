#include "lua/secret_fetch.h"

#include "base/buf.h"
#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64
#define READ_SIZE     4096
#define EXIT_NO_EXEC  127

static bool
fetch_variable(struct slice name, char **bytes, size_t *len, struct error *err)
{
    char *variable = xstrndup(name.ptr, name.len);
    const char *value = getenv(variable);

    if (value != NULL && *value != '\0') {
        *len = strlen(value);
        *bytes = xstrndup(value, *len);
    } else {
        (void)error_set(err, "the environment variable %s is %s", variable,
                        value == NULL ? "not set" : "empty");
    }
    free(variable);
    return value != NULL && *value != '\0';
}

/* In the child, between fork and exec. */
_Noreturn static void
become(char **argv, int out)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    /* Nobody waits for it when this process has gone. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0); /* killed with all that it starts */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0)
        _exit(EXIT_NO_EXEC);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)execvp(argv[0], argv);
    _exit(EXIT_NO_EXEC);
}

static double
now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* True when there is something to read, or the end. */
static bool
wait_readable(int fd, double until)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    for (;;) {
        double left = until - now();
        if (left <= 0)
            return false;
        int ready = poll(&readable, 1, (int)(left * 1000) + 1);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

/* All that comes until the end of `fd`. */
static bool
read_all(int fd, double until, struct buf *output, struct error *err)
{
    size_t room;

    for (;;) {
        if (!wait_readable(fd, until))
            return error_set(err, "it did not end in time");
        char *at = buf_reserve(output, READ_SIZE, &room);
        if (at == NULL)
            return error_set(err, "it wrote more than %zu bytes", SECRET_MAX);
        ssize_t n = read(fd, at, room);
        if (n < 0 && errno != EINTR)
            return error_set(err, "read: %s", strerror(errno));
        if (n == 0)
            return true;
        buf_filled(output, n > 0 ? (size_t)n : 0);
    }
}

/* Waits for its end, and makes it come in time. */
static int
reap(pid_t pid, bool failed, double until)
{
    int ended = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;

    if (failed || ended < 0 || !wait_readable(ended, until))
        (void)kill(-pid, SIGKILL);
    if (ended >= 0)
        (void)close(ended);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static bool
judge(int status, struct error *err)
{
    if (WIFSIGNALED(status))
        return error_set(err, "it died of signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == EXIT_NO_EXEC)
        return error_set(err, "it can't be run (exit status %d)", EXIT_NO_EXEC);
    return WEXITSTATUS(status) == 0 ||
           error_set(err, "it failed with exit status %d", WEXITSTATUS(status));
}

static bool
run(char **argv, double seconds, struct buf *output, struct error *err)
{
    double until = now() + seconds;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(err, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(argv, ends[1]);
    (void)close(ends[1]);
    bool done = pid > 0 || error_set(err, "fork: %s", strerror(errno));
    if (pid > 0) {
        (void)setpgid(pid, pid); /* whoever comes first */
        done = read_all(ends[0], until, output, err);
        int status = reap(pid, !done, until);
        done = done && judge(status, err);
    }
    (void)close(ends[0]);
    return done;
}

static bool
fetch_command(struct slice words, char **bytes, size_t *len, struct error *err)
{
    char *text = xstrndup(words.ptr, words.len), *rest = text;
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    static const char separator[] = {SECRET_SEPARATOR, '\0'};
    const char *milliseconds = strsep(&rest, separator);
    struct buf output;
    size_t count = 0;
    bool done;

    while (rest != NULL && count < ARGUMENTS_MAX)
        argv[count++] = strsep(&rest, separator);
    require(milliseconds != NULL && argv[0] != NULL);
    buf_init(&output, SECRET_MAX);
    done =
        (rest == NULL || error_set(err, "at most %d words", ARGUMENTS_MAX)) &&
        run(argv, strtod(milliseconds, NULL) / 1000, &output, err);
    if (done) {
        struct slice all = buf_bytes(&output);
        *len = all.len;
        *bytes = all.len > 0 ? xstrndup(all.ptr, all.len) : xstrndup("", 0);
    } else {
        (void)error_context(err, "%.100s", argv[0]);
    }
    buf_deinit(&output);
    free(text);
    return done;
}

bool
secret_fetch(struct slice name, char **bytes, size_t *len, struct error *err)
{
    struct slice variable = S(SECRET_VARIABLE), command = S(SECRET_COMMAND);

    if (slice_has_prefix(name, variable))
        return fetch_variable(slice_drop(name, variable.len), bytes, len, err);
    require(slice_has_prefix(name, command));
    return fetch_command(slice_drop(name, command.len), bytes, len, err);
}
