#include "lua/threads.h"

#include "base/log.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 16
#define NICER       5 /* than the loop: logins that need no hash come first */

static struct {
    pthread_mutex_t lock; /* of all of this, and of each job's first fields */
    pthread_cond_t wake;
    struct list waiting, finished, dropped;
    size_t waiting_count;
    bool stop;
    pthread_t threads[THREADS_MAX];
    size_t thread_count;
    struct ev_loop *loop; /* NULL until the first job */
    size_t jobs;          /* that the loop waits for */
    ev_async finished_async;
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
};

static struct job *
first_of(struct list *jobs)
{
    return list_is_empty(jobs) ? NULL
                               : container_of(jobs->next, struct job, link);
}

/* The next job, or NULL when the pool stops; `*dropped`: it is only to be
 * freed. */
static struct job *
next_job(bool *dropped)
{
    struct job *job = NULL;

    (void)pthread_mutex_lock(&pool.lock);
    while (!pool.stop && (job = first_of(&pool.dropped)) == NULL &&
           (job = first_of(&pool.waiting)) == NULL)
        (void)pthread_cond_wait(&pool.wake, &pool.lock);
    if (!pool.stop) {
        list_remove(&job->link);
        job->state = JOB_RUNNING;
        *dropped = job->dropped;
        if (!job->dropped)
            pool.waiting_count--;
    }
    bool stop = pool.stop;
    (void)pthread_mutex_unlock(&pool.lock);
    return stop ? NULL : job;
}

/* False if it was dropped meanwhile. */
static bool
hand_over(struct job *job)
{
    (void)pthread_mutex_lock(&pool.lock);
    bool wanted = !job->dropped;
    if (wanted) {
        job->state = JOB_FINISHED;
        list_append(&pool.finished, &job->link);
        ev_async_send(pool.loop, &pool.finished_async);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return wanted;
}

static void *
thread_main(void *unused)
{
    struct job *job;
    bool dropped;

    (void)unused;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICER);
    while ((job = next_job(&dropped)) != NULL) {
        if (!dropped)
            job->work(job);
        if (dropped || !hand_over(job))
            job->discard(job);
    }
    OPENSSL_thread_stop();
    return NULL;
}

static struct job *
take_finished(void)
{
    (void)pthread_mutex_lock(&pool.lock);
    struct job *job = first_of(&pool.finished);
    if (job != NULL) {
        list_remove(&job->link);
        job->state = JOB_IDLE;
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return job;
}

/* One at a time, as a callee may drop another. */
static void
on_finished(struct ev_loop *loop, ev_async *w, int events)
{
    struct job *job;

    (void)w;
    (void)events;
    while ((job = take_finished()) != NULL) {
        ev_unref(loop);
        pool.jobs--;
        job->done(job);
    }
}

/* At exit: OpenSSL must not be torn down under a running thread. */
static void
stop_threads(void)
{
    struct job *job;

    (void)pthread_mutex_lock(&pool.lock);
    pool.stop = true;
    (void)pthread_cond_broadcast(&pool.wake);
    (void)pthread_mutex_unlock(&pool.lock);
    for (size_t i = 0; i < pool.thread_count; i++)
        (void)pthread_join(pool.threads[i], NULL);
    pool.thread_count = 0;
    while ((job = first_of(&pool.dropped)) != NULL) {
        list_remove(&job->link);
        job->discard(job);
    }
}

/* Those this process may use; asking the kernel opens no file. */
static size_t
count_cores(void)
{
    cpu_set_t usable;
    int cores = sched_getaffinity(0, sizeof(usable), &usable) == 0
                    ? CPU_COUNT(&usable)
                    : 1;

    return cores < THREADS_MAX ? (size_t)cores : THREADS_MAX;
}

static void
start_threads(void)
{
    size_t wanted = count_cores();
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.thread_count < wanted &&
           pthread_create(&pool.threads[pool.thread_count], NULL, thread_main,
                          NULL) == 0)
        pool.thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool.thread_count < wanted)
        log_error("only %zu of %zu threads could be started", pool.thread_count,
                  wanted);
}

bool
threads_are_busy(const struct ev_loop *loop)
{
    return pool.loop == loop && pool.jobs > 0;
}

void
threads_leave(struct ev_loop *loop)
{
    if (loop == NULL || pool.loop != loop)
        return;
    require(pool.jobs == 0);
    ev_ref(loop);
    ev_async_stop(loop, &pool.finished_async);
    pool.loop = NULL;
}

/* The watcher must not keep a loop alive that has nothing else to do. */
static void
pool_open(struct ev_loop *loop)
{
    if (pool.loop == loop)
        return;
    threads_leave(pool.loop);
    pool.loop = loop;
    ev_async_init(&pool.finished_async, on_finished);
    ev_async_start(loop, &pool.finished_async);
    ev_unref(loop);
    if (pool.thread_count > 0)
        return;
    (void)OPENSSL_init_crypto(0, NULL);
    list_init(&pool.waiting);
    list_init(&pool.finished);
    list_init(&pool.dropped);
    start_threads();
    (void)atexit(stop_threads);
}

bool
threads_submit(struct ev_loop *loop, struct job *job)
{
    require(job->state == JOB_IDLE && !job->dropped);
    pool_open(loop);
    (void)pthread_mutex_lock(&pool.lock);
    bool room =
        pool.waiting_count < THREADS_WAITING_MAX && pool.thread_count > 0;
    if (room) {
        list_append(&pool.waiting, &job->link);
        job->state = JOB_WAITING;
        pool.waiting_count++;
        (void)pthread_cond_signal(&pool.wake);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    if (room) {
        ev_ref(loop);
        pool.jobs++;
    }
    return room;
}

/* Takes it out of what the loop waits for.  Called under the lock. */
static void
forget(struct job *job)
{
    if (job->state == JOB_IDLE)
        return;
    ev_unref(pool.loop);
    pool.jobs--;
    if (job->state == JOB_WAITING)
        pool.waiting_count--;
    if (job->state != JOB_RUNNING)
        list_remove(&job->link);
}

void
threads_drop(struct job *job)
{
    if (pool.thread_count == 0) { /* so it is idle, and was never submitted */
        job->discard(job);
        return;
    }
    (void)pthread_mutex_lock(&pool.lock);
    forget(job);
    job->dropped = true;
    if (job->state != JOB_RUNNING) {
        list_append(&pool.dropped, &job->link);
        (void)pthread_cond_signal(&pool.wake);
    }
    (void)pthread_mutex_unlock(&pool.lock);
}
