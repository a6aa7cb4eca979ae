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
    struct slice before, after;
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
become_diff(const struct pair *p, int before, int after, int out)
{
    char from[64], to[64], before_label[512], after_label[512];

    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", before);
    (void)snprintf(to, sizeof to, "/proc/self/fd/%d", after);
    (void)snprintf(before_label, sizeof before_label, "%.*s",
                   p->before.ptr != NULL ? (int)p->path.len : 9,
                   p->before.ptr != NULL ? p->path.ptr : "/dev/null");
    (void)snprintf(after_label, sizeof after_label, "%.*s",
                   p->after.ptr != NULL ? (int)p->path.len : 9,
                   p->after.ptr != NULL ? p->path.ptr : "/dev/null");
    if (dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
        (void)execlp("diff", "diff", "-u", "--label", before_label, "--label",
                     after_label, from, to, (char *)NULL);
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
run_diff(const struct pair *p, int before, int after, struct buf *text,
         struct error *err)
{
    int ends[2], status = 0;
    pid_t child;

    if (pipe(ends) != 0)
        return error_set(err, "pipe: %s", strerror(errno));
    child = fork();
    if (child == 0)
        become_diff(p, before, after, ends[1]);
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
    int before = memory_of(p->before), after = memory_of(p->after);
    bool shown = before >= 0 && after >= 0
                     ? run_diff(p, before, after, text, err)
                     : error_set(err, "memory: %s", strerror(errno));

    if (before >= 0)
        (void)close(before);
    if (after >= 0)
        (void)close(after);
    return shown;
}

static bool
name(const struct pair *p, struct buf *text, struct error *err)
{
    const char *how = p->before.ptr == NULL  ? "is new"
                      : p->after.ptr == NULL ? "is gone"
                                             : "has changed";

    return buf_printf(text, "%.*s %s\n", (int)p->path.len, p->path.ptr, how) ||
           error_set(err, "there are too many differences to show");
}

/* What holds no secret, unless somebody has written one into a program. */
static bool
is_source(enum bundle_kind kind)
{
    return kind == BUNDLE_CONFIG || kind == BUNDLE_OVERLAY ||
           kind == BUNDLE_POLICY || kind == BUNDLE_MODULE;
}

static bool
compare(enum bundle_kind kind, const struct pair *p, struct buf *text,
        struct error *err)
{
    if (p->before.ptr != NULL && p->after.ptr != NULL &&
        slice_equal(p->before, p->after))
        return true;
    return is_source(kind) ? show(p, text, err) : name(p, text, err);
}

bool
differences_write(const struct bundle *before, const struct bundle *after,
                  struct buf *text, struct error *err)
{
    struct bundle_entry one, twin;

    for (size_t i = 0; i < bundle_count(before); i++) {
        one = bundle_at(before, i);
        struct pair p = {one.path, one.bytes, {NULL, 0}};
        if (bundle_find(after, one.kind, one.name, &twin))
            p.after = twin.bytes;
        if (!compare(one.kind, &p, text, err))
            return false;
    }
    for (size_t i = 0; i < bundle_count(after); i++) {
        one = bundle_at(after, i);
        struct pair p = {one.path, {NULL, 0}, one.bytes};
        if (!bundle_find(before, one.kind, one.name, &twin) &&
            !compare(one.kind, &p, text, err))
            return false;
    }
    return true;
}
