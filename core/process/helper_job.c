#include "process/helper_job.h"

#include "base/log.h"
#include "base/slice.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRORS_MAX ((size_t)1024 * 1024)

static void
stop_watching(struct helper_job *job)
{
    ev_io_stop(job->loop, &job->io);
    ev_timer_stop(job->loop, &job->limit);
    ev_child_stop(job->loop, &job->exit);
    (void)close(job->child.fd);
    job->running = false;
}

static bool
take_error(struct helper_job *job, struct message *m)
{
    struct slice text = message_get_text(m);

    if (!buf_append(&job->errors, text))
        return false;
    if (job->failure.text[0] == '\0') {
        text = slice_take(text, slice_find(text, '\n'));
        (void)error_set(&job->failure, "%.*s", (int)text.len, text.ptr);
    }
    return message_is_whole(m);
}

static enum receive
take_one(struct helper_job *job)
{
    struct message m;
    enum receive received = message_receive(job->child.fd, false, &m);

    if (received == RECEIVE_DONE) {
        bool valid = m.type == MESSAGE_ERROR ? take_error(job, &m)
                                             : job->message(job, &m);
        if (!valid)
            received = RECEIVE_BAD;
    }
    message_deinit(&m);
    if (received == RECEIVE_BAD) {
        (void)error_set(&job->failure, "the helper spoke nonsense");
        (void)kill(job->child.pid, SIGKILL);
    }
    return received;
}

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct helper_job *job = container_of(io, struct helper_job, io);
    enum receive received = take_one(job);

    (void)events;
    if (received == RECEIVE_EOF || received == RECEIVE_BAD)
        ev_io_stop(loop, io);
}

static void
on_exit(struct ev_loop *loop, ev_child *exit, int events)
{
    struct helper_job *job = container_of(exit, struct helper_job, exit);

    (void)loop;
    (void)events;
    /* Its last words may still be waiting. */
    while (ev_is_active(&job->io) && take_one(job) == RECEIVE_DONE)
        ;
    if (job->failure.text[0] == '\0' && exit->rstatus != 0)
        (void)error_set(&job->failure, "the helper died");
    stop_watching(job);
    job->done(job);
    if (!job->running) /* again, from `done` */
        buf_deinit(&job->errors);
}

static void
on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct helper_job *job = container_of(timer, struct helper_job, limit);

    (void)loop;
    (void)events;
    (void)error_set(&job->failure, "the helper took too long");
    (void)kill(job->child.pid, SIGKILL);
}

void
helper_job_init(struct helper_job *job, struct ev_loop *loop)
{
    job->loop = loop;
    job->running = false;
    buf_init(&job->errors, ERRORS_MAX);
    ev_init(&job->io, on_message);
    ev_init(&job->exit, on_exit);
    ev_init(&job->limit, on_limit);
}

bool
helper_job_start(struct helper_job *job, const char *role,
                 const struct message *order, double seconds, struct error *err)
{
    require(!job->running);
    job->failure.text[0] = '\0';
    buf_deinit(&job->errors);
    if (!spawn(role, "", &job->child, err))
        return false;
    job->running = true;
    ev_child_set(&job->exit, job->child.pid, 0);
    ev_child_start(job->loop, &job->exit);
    ev_io_set(&job->io, job->child.fd, EV_READ);
    ev_io_start(job->loop, &job->io);
    ev_timer_set(&job->limit, seconds, 0.);
    ev_timer_start(job->loop, &job->limit);
    if (message_send_wait(job->child.fd, order, err))
        return true;
    helper_job_cancel(job);
    return false;
}

void
helper_job_cancel(struct helper_job *job)
{
    if (!job->running)
        return;
    (void)kill(job->child.pid, SIGKILL);
    stop_watching(job);
    (void)waitpid(job->child.pid, NULL, 0);
    buf_deinit(&job->errors);
}
