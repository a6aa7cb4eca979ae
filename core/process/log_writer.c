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

struct place {
    struct log_target target;
    bool failing; /* the last write failed, and was complained about */
    bool torn;    /* it left the beginning of a line behind */
};

static struct {
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t wake;
    pthread_t thread;
    bool running;
    bool stopping;
    size_t start, used;      /* of the ring */
    uint64_t lost;           /* lines dropped and not yet reported */
    uint64_t dropped;        /* all of them */
    struct log_targets next; /* places that the thread does not know yet */
    bool replace;            /* they replace those that it knows */
    char ring[RING_SIZE];

    /* The thread's own. */
    struct place places[LOG_TARGETS_MAX];
    size_t place_count;
    size_t batch_size;
    bool single; /* a batch is one line */
    char batch[BATCH_FILE + LINE_LIMIT];
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER};

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

/* Moves whole lines out of the ring: one where lines are told apart, else all
 * that fit. */
static struct batch
take_batch(void)
{
    struct batch b = {0};

    while (writer.used > 0) {
        struct line_header header;
        ring_peek(&header, sizeof header);
        if (b.lines > 0 &&
            (writer.single || b.len + header.len + 1 > writer.batch_size))
            break;
        ring_skip(sizeof header);
        ring_peek(writer.batch + b.len, header.len);
        ring_skip(header.len);
        b.len += header.len;
        if (b.lines == 0)
            b.level = (enum log_level)header.level;
        writer.batch[b.len++] = '\n';
        b.lines++;
    }
    return b;
}

/* Lines for syslog, and lines that some get and others do not, go out one by
 * one. */
static void
learn_places(void)
{
    struct stat about;

    writer.single = false;
    writer.batch_size = BATCH_FILE;
    for (size_t i = 0; i < writer.place_count; i++) {
        const struct log_target *t = &writer.places[i].target;
        writer.single = writer.single || t->facility >= 0 ||
                        t->level != writer.places[0].target.level;
        if (fstat(t->fd, &about) != 0 || !S_ISREG(about.st_mode))
            writer.batch_size = BATCH_PIPE;
    }
}

static void
adopt_targets(void)
{
    while (writer.replace && writer.place_count > 0)
        log_target_close(&writer.places[--writer.place_count].target);
    writer.replace = false;
    for (size_t i = 0; i < writer.next.count; i++) {
        if (writer.place_count < LOG_TARGETS_MAX)
            writer.places[writer.place_count++] =
                (struct place){.target = writer.next.all[i]};
        else
            log_target_close(&writer.next.all[i]);
    }
    writer.next.count = 0;
    learn_places();
}

/* Once for each time that writing begins to fail. */
static void
complain(struct place *p)
{
    if (!p->failing) {
        (void)fprintf(stderr, "moongate: log lines are lost: %s\n",
                      strerror(errno));
    }
    p->failing = true;
}

static bool
write_batch(struct place *p, const struct batch *b)
{
    struct slice bytes = {writer.batch, b->len};
    /* One that is stuck holds up the others once. */
    bool patient = !p->failing || writer.place_count == 1;
    bool torn = false;

    if (writer.single && b->level > p->target.level)
        return true;
    if (p->torn &&
        !log_target_write(&p->target, b->level, S("\n"), patient, &torn)) {
        complain(p);
        return false;
    }
    p->torn = false;
    if (!log_target_write(&p->target, b->level, bytes, patient, &p->torn)) {
        complain(p);
        return false;
    }
    p->failing = false;
    return true;
}

/* Called with the lock held; gives it up while it writes. */
static void
write_some(void)
{
    struct batch b = take_batch();
    uint64_t lost;
    bool written;

    (void)pthread_mutex_unlock(&writer.lock);
    written = true;
    for (size_t i = 0; i < writer.place_count; i++)
        written = write_batch(&writer.places[i], &b) && written;
    (void)pthread_mutex_lock(&writer.lock);
    if (!written) {
        writer.lost += b.lines;
        writer.dropped += b.lines;
        return;
    }
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
        if (writer.next.count > 0)
            adopt_targets();
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
    writer.next = (struct log_targets){.all = {target}, .count = 1};
    writer.replace = true;
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
log_writer_retarget(struct log_target target, bool joins)
{
    (void)pthread_mutex_lock(&writer.lock);
    if (!joins) {
        log_targets_close(&writer.next);
        writer.replace = true;
    }
    if (writer.next.count < LOG_TARGETS_MAX)
        writer.next.all[writer.next.count++] = target;
    else
        log_target_close(&target);
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
