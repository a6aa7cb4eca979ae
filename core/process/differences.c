#include "process/differences.h"

#include "base/slice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_TROUBLE 2 /* of diff(1): 0 the same, 1 different */
#define READ_SIZE    4096

/* One file in both bundles; bytes.ptr NULL where it is not. */
struct pair {
    struct slice path;
    struct slice old, new;
};

static int
memory_of(struct slice bytes)
{
    int fd = memfd_create("source", 0);

    if (fd >= 0 && bytes.len > 0 &&
        write(fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

_Noreturn static void
become_diff(const struct pair *p, int old, int new, int out)
{
    char from[64], to[64], old_label[512], new_label[512];

    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", old);
    (void)snprintf(to, sizeof to, "/proc/self/fd/%d", new);
    (void)snprintf(old_label, sizeof old_label, "%.*s",
                   p->old.ptr != NULL ? (int)p->path.len : 9,
                   p->old.ptr != NULL ? p->path.ptr : "/dev/null");
    (void)snprintf(new_label, sizeof new_label, "%.*s",
                   p->new.ptr != NULL ? (int)p->path.len : 9,
                   p->new.ptr != NULL ? p->path.ptr : "/dev/null");
    if (dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
        (void)execlp("diff", "diff", "-u", "--label", old_label, "--label",
                     new_label, from, to, (char *)NULL);
    _exit(EXIT_TROUBLE);
}

static bool
read_all(int fd, struct buf *text, struct error *err)
{
    for (;;) {
        size_t room;
        char *at = buf_reserve(text, READ_SIZE, &room);
        if (at == NULL)
            return error_set(err, "there are too many differences to show");
        ssize_t n = read(fd, at, room);
        if (n > 0)
            buf_filled(text, (size_t)n);
        else if (n == 0)
            return true;
        else if (errno != EINTR)
            return error_set(err, "diff: %s", strerror(errno));
    }
}

static bool
run_diff(const struct pair *p, int old, int new, struct buf *text,
         struct error *err)
{
    int ends[2], status = 0;
    pid_t child;

    if (pipe(ends) != 0)
        return error_set(err, "pipe: %s", strerror(errno));
    child = fork();
    if (child == 0)
        become_diff(p, old, new, ends[1]);
    (void)close(ends[1]);
    bool done = child > 0 ? read_all(ends[0], text, err)
                          : error_set(err, "fork: %s", strerror(errno));
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (done && (!WIFEXITED(status) || WEXITSTATUS(status) >= EXIT_TROUBLE))
        done = error_set(err, "diff(1) could not be run");
    return done;
}

static bool
show(const struct pair *p, struct buf *text, struct error *err)
{
    int old = memory_of(p->old), new = memory_of(p->new);
    bool shown = old >= 0 && new >= 0
                     ? run_diff(p, old, new, text, err)
                     : error_set(err, "memory: %s", strerror(errno));

    if (old >= 0)
        (void)close(old);
    if (new >= 0)
        (void)close(new);
    return shown;
}

static bool
name(const struct pair *p, struct buf *text, struct error *err)
{
    const char *how = p->old.ptr == NULL   ? "is new"
                      : p->new.ptr == NULL ? "is gone"
                                           : "has changed";

    return buf_printf(text, "%.*s %s\n", (int)p->path.len, p->path.ptr, how) ||
           error_set(err, "there are too many differences to show");
}

static bool
compare(enum bundle_kind kind, const struct pair *p, struct buf *text,
        struct error *err)
{
    if (p->old.ptr != NULL && p->new.ptr != NULL &&slice_equal(p->old, p->new))
        return true;
    return kind == BUNDLE_DATA || kind == BUNDLE_TLS ? name(p, text, err)
                                                     : show(p, text, err);
}

bool
differences_write(const struct bundle *old, const struct bundle *new,
                  struct buf *text, struct error *err)
{
    struct bundle_entry one, twin;

    for (size_t i = 0; i < bundle_count(old); i++) {
        one = bundle_at(old, i);
        struct pair p = {one.path, one.bytes, {NULL, 0}};
        if (bundle_find(new, one.kind, one.name, &twin))
            p.new = twin.bytes;
        if (!compare(one.kind, &p, text, err))
            return false;
    }
    for (size_t i = 0; i < bundle_count(new); i++) {
        one = bundle_at(new, i);
        struct pair p = {one.path, {NULL, 0}, one.bytes};
        if (!bundle_find(old, one.kind, one.name, &twin) &&
            !compare(one.kind, &p, text, err))
            return false;
    }
    return true;
}
