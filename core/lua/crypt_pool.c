#include "lua/crypt_pool.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 16
#define NICER       5 /* than the loop: logins that need no hash come first */

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_FINISHED };

struct crypt_job {
    struct list link;
    enum job_state state; /* under the lock, as `link` and `dropped` */
    bool dropped;
    bool make;
    char *password;
    size_t password_len;
    char *hash;
    size_t hash_len;
    struct crypt_cost cost;
    enum crypt_result result;
    char made[CRYPT_HASH_MAX];
    crypt_done_fn done;
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list waiting, finished;
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

static void
wipe_password(struct crypt_job *job)
{
    if (job->password == NULL)
        return;
    explicit_bzero(job->password, job->password_len);
    free(job->password);
    job->password = NULL;
}

static void
job_free(struct crypt_job *job)
{
    wipe_password(job);
    if (job->hash != NULL) /* "{PLAIN}..." is a password, too */
        explicit_bzero(job->hash, job->hash_len);
    free(job->hash);
    explicit_bzero(job->made, sizeof(job->made));
    free(job);
}

static void
job_work(struct crypt_job *job)
{
    struct secret password = {{job->password, job->password_len}};

    if (job->make)
        job->result = crypt_hash_make(password, &job->cost, job->made);
    else
        job->result = crypt_hash_verify(
            password, (struct slice){job->hash, job->hash_len});
    wipe_password(job);
}

/* The next job, or NULL when the pool stops.  Called under the lock. */
static struct crypt_job *
next_job(void)
{
    while (list_is_empty(&pool.waiting) && !pool.stop)
        (void)pthread_cond_wait(&pool.wake, &pool.lock);
    if (pool.stop)
        return NULL;
    struct crypt_job *job =
        container_of(pool.waiting.next, struct crypt_job, link);
    list_remove(&job->link);
    pool.waiting_count--;
    job->state = JOB_RUNNING;
    return job;
}

static void *
thread_main(void *unused)
{
    (void)unused;
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICER);
    (void)pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct crypt_job *job = next_job();
        if (job == NULL)
            break;
        (void)pthread_mutex_unlock(&pool.lock);
        job_work(job);
        (void)pthread_mutex_lock(&pool.lock);
        job->state = JOB_FINISHED;
        if (job->dropped) {
            job_free(job);
            continue;
        }
        list_append(&pool.finished, &job->link);
        ev_async_send(pool.loop, &pool.finished_async);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    OPENSSL_thread_stop();
    return NULL;
}

static struct crypt_job *
take_finished(void)
{
    struct crypt_job *job = NULL;

    (void)pthread_mutex_lock(&pool.lock);
    if (!list_is_empty(&pool.finished)) {
        job = container_of(pool.finished.next, struct crypt_job, link);
        list_remove(&job->link);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return job;
}

/* One at a time, as a callee may cancel another. */
static void
on_finished(struct ev_loop *loop, ev_async *w, int events)
{
    struct crypt_job *job;

    (void)w;
    (void)events;
    while ((job = take_finished()) != NULL) {
        ev_unref(loop);
        pool.jobs--;
        job->done(job->arg, job->result, job->make ? job->made : NULL);
        job_free(job);
    }
}

/* At exit: OpenSSL must not be torn down under a running thread. */
static void
stop_threads(void)
{
    (void)pthread_mutex_lock(&pool.lock);
    pool.stop = true;
    (void)pthread_cond_broadcast(&pool.wake);
    (void)pthread_mutex_unlock(&pool.lock);
    for (size_t i = 0; i < pool.thread_count; i++)
        (void)pthread_join(pool.threads[i], NULL);
    pool.thread_count = 0;
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
        log_error("crypt: only %zu of %zu threads could be started",
                  pool.thread_count, wanted);
}

bool
crypt_pool_is_busy(const struct ev_loop *loop)
{
    return pool.loop == loop && pool.jobs > 0;
}

void
crypt_pool_leave(struct ev_loop *loop)
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
    crypt_pool_leave(pool.loop);
    pool.loop = loop;
    ev_async_init(&pool.finished_async, on_finished);
    ev_async_start(loop, &pool.finished_async);
    ev_unref(loop);
    if (pool.thread_count > 0)
        return;
    (void)OPENSSL_init_crypto(0, NULL);
    list_init(&pool.waiting);
    list_init(&pool.finished);
    start_threads();
    (void)atexit(stop_threads);
}

static struct crypt_job *
submit(struct ev_loop *loop, struct crypt_job *job, struct secret password)
{
    pool_open(loop);
    job->password = xstrndup(password.bytes.ptr, password.bytes.len);
    job->password_len = password.bytes.len;
    list_init(&job->link);

    (void)pthread_mutex_lock(&pool.lock);
    bool full =
        pool.waiting_count >= CRYPT_WAITING_MAX || pool.thread_count == 0;
    if (!full) {
        list_append(&pool.waiting, &job->link);
        pool.waiting_count++;
        (void)pthread_cond_signal(&pool.wake);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    if (full) {
        job_free(job);
        return NULL;
    }
    ev_ref(loop);
    pool.jobs++;
    return job;
}

struct crypt_job *
crypt_pool_verify(struct ev_loop *loop, struct secret password,
                  struct slice hash, crypt_done_fn done, void *arg)
{
    struct crypt_job *job = xcalloc(1, sizeof(*job));

    job->hash = xstrndup(hash.ptr, hash.len);
    job->hash_len = hash.len;
    job->done = done;
    job->arg = arg;
    return submit(loop, job, password);
}

struct crypt_job *
crypt_pool_make(struct ev_loop *loop, struct secret password,
                const struct crypt_cost *cost, crypt_done_fn done, void *arg)
{
    struct crypt_job *job = xcalloc(1, sizeof(*job));

    job->make = true;
    job->cost = *cost;
    job->done = done;
    job->arg = arg;
    return submit(loop, job, password);
}

void
crypt_pool_cancel(struct crypt_job *job)
{
    ev_unref(pool.loop);
    pool.jobs--;
    (void)pthread_mutex_lock(&pool.lock);
    bool running = job->state == JOB_RUNNING;
    if (running) {
        job->dropped = true;
    } else {
        if (job->state == JOB_WAITING)
            pool.waiting_count--;
        list_remove(&job->link);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    if (!running)
        job_free(job);
}
