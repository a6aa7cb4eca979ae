#include "process/log_writer.h"

#include "base/slice.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_SIZE  ((size_t)256 * 1024)
#define LINE_LIMIT ((size_t)16 * 1024)
/* Whole lines of one write; a pipe takes PIPE_BUF bytes in one piece. */
#define BATCH_FILE ((size_t)64 * 1024)
#define BATCH_PIPE ((size_t)4096)

/* In front of each line in the ring. */
struct line_header {
    uint32_t len;
    uint32_t level;
};

static struct {
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t wake;
    pthread_t thread;
    bool running;
    bool stopping;
    size_t start, used;            /* of the ring */
    uint64_t lost;                 /* lines dropped and not yet reported */
    uint64_t dropped;              /* all of them */
    struct log_target next_target; /* fd >= 0: change to it */
    char ring[RING_SIZE];

    /* The thread's own. */
    struct log_target target;
    size_t batch_size;
    bool failing; /* the last write failed, and was complained about */
    bool torn;    /* it left the beginning of a line behind */
    char batch[BATCH_FILE + LINE_LIMIT];
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER,
            .next_target = {-1, -1},
            .target = {-1, -1}};

static void
ring_write(const void *bytes, size_t len)
{
    size_t at = (writer.start + writer.used) % RING_SIZE;
    size_t first = len < RING_SIZE - at ? len : RING_SIZE - at;

    memcpy(writer.ring + at, bytes, first);
    memcpy(writer.ring, (const char *)bytes + first, len - first);
    writer.used += len;
}

static void
ring_peek(void *bytes, size_t len)
{
    size_t at = writer.start;
    size_t first = len < RING_SIZE - at ? len : RING_SIZE - at;

    memcpy(bytes, writer.ring + at, first);
    memcpy((char *)bytes + first, writer.ring, len - first);
}

static void
ring_skip(size_t len)
{
    writer.start = (writer.start + len) % RING_SIZE;
    writer.used -= len;
}

/* The sink: called by the loop, and by threads that log. */
static void
take_line(enum log_level level, struct slice line)
{
    struct line_header header = {0, (uint32_t)level};

    line = slice_take(line, LINE_LIMIT - 1);
    header.len = (uint32_t)line.len;
    (void)pthread_mutex_lock(&writer.lock);
    if (sizeof header + line.len > RING_SIZE - writer.used) {
        writer.lost++;
        writer.dropped++;
    } else {
        ring_write(&header, sizeof header);
        ring_write(line.ptr, line.len);
        (void)pthread_cond_signal(&writer.wake);
    }
    (void)pthread_mutex_unlock(&writer.lock);
}

struct batch {
    size_t len;
    uint64_t lines;
    enum log_level level; /* of the first line */
};

/* Moves whole lines out of the ring: one for syslog, else all that fit. */
static struct batch
take_batch(void)
{
    struct batch b = {0};
    bool single = writer.target.facility >= 0;

    while (writer.used > 0) {
        struct line_header header;
        ring_peek(&header, sizeof header);
        if (b.lines > 0 &&
            (single || b.len + header.len + 1 > writer.batch_size))
            break;
        ring_skip(sizeof header);
        ring_peek(writer.batch + b.len, header.len);
        ring_skip(header.len);
        b.len += header.len;
        if (b.lines == 0)
            b.level = (enum log_level)header.level;
        if (!single)
            writer.batch[b.len++] = '\n';
        b.lines++;
    }
    return b;
}

static void
adopt_target(void)
{
    struct stat about;

    log_target_close(&writer.target);
    writer.target = writer.next_target;
    writer.next_target.fd = -1;
    writer.torn = writer.failing = false;
    writer.batch_size =
        fstat(writer.target.fd, &about) == 0 && S_ISREG(about.st_mode)
            ? BATCH_FILE
            : BATCH_PIPE;
}

/* Once for each time that writing begins to fail. */
static void
complain(void)
{
    if (!writer.failing) {
        (void)fprintf(stderr, "moongate: log lines are lost: %s\n",
                      strerror(errno));
    }
    writer.failing = true;
}

static bool
write_batch(const struct batch *b)
{
    struct slice bytes = {writer.batch, b->len};
    bool torn = false;

    if (writer.torn &&
        !log_target_write(&writer.target, b->level, S("\n"), &torn))
        return false;
    writer.torn = false;
    return log_target_write(&writer.target, b->level, bytes, &writer.torn);
}

/* Called with the lock held; gives it up while it writes. */
static void
write_some(void)
{
    struct batch b = take_batch();
    uint64_t lost;
    bool written;

    (void)pthread_mutex_unlock(&writer.lock);
    written = write_batch(&b);
    if (!written)
        complain();
    (void)pthread_mutex_lock(&writer.lock);
    if (!written) {
        writer.lost += b.lines;
        writer.dropped += b.lines;
        return;
    }
    writer.failing = false;
    lost = writer.lost;
    writer.lost = 0;
    if (lost == 0)
        return;
    (void)pthread_mutex_unlock(&writer.lock);
    log_warn("log: %llu lines were lost", (unsigned long long)lost);
    (void)pthread_mutex_lock(&writer.lock);
}

static void *
write_lines(void *unused)
{
    (void)unused;
    (void)pthread_mutex_lock(&writer.lock);
    for (;;) {
        if (writer.next_target.fd >= 0)
            adopt_target();
        if (writer.used > 0)
            write_some();
        else if (writer.stopping)
            break;
        else
            (void)pthread_cond_wait(&writer.wake, &writer.lock);
    }
    (void)pthread_mutex_unlock(&writer.lock);
    return NULL;
}

bool
log_writer_start(struct log_target target, struct error *err)
{
    sigset_t all, before;
    int failure;

    require(!writer.running);
    writer.next_target = target;
    writer.stopping = false;
    /* Signals are the loop's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&writer.thread, NULL, write_lines, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return error_set(err, "log thread: %s", strerror(failure));
    writer.running = true;
    log_set_sink(take_line);
    return true;
}

void
log_writer_retarget(struct log_target target)
{
    (void)pthread_mutex_lock(&writer.lock);
    log_target_close(&writer.next_target);
    writer.next_target = target;
    (void)pthread_cond_signal(&writer.wake);
    (void)pthread_mutex_unlock(&writer.lock);
}

void
log_writer_stop(double seconds)
{
    struct timespec until;
    long nanoseconds;

    if (!writer.running)
        return;
    log_set_sink(NULL);
    (void)pthread_mutex_lock(&writer.lock);
    writer.stopping = true;
    (void)pthread_cond_signal(&writer.wake);
    (void)pthread_mutex_unlock(&writer.lock);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    nanoseconds = until.tv_nsec + (long)(seconds * 1e9) % 1000000000L;
    until.tv_sec += (time_t)seconds + nanoseconds / 1000000000L;
    until.tv_nsec = nanoseconds % 1000000000L;
    /* A thread that hangs in a write is left to the end of the process. */
    if (pthread_timedjoin_np(writer.thread, NULL, &until) == 0)
        writer.running = false;
}

uint64_t
log_writer_dropped(void)
{
    (void)pthread_mutex_lock(&writer.lock);
    uint64_t dropped = writer.dropped;
    (void)pthread_mutex_unlock(&writer.lock);
    return dropped;
}
