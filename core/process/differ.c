#include "process/differ.h"

#include "base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_LIMIT 30. /* seconds */
#define TEXT_MAX   ((size_t)8 * 1024 * 1024)

struct question {
    struct list link;
    int from, to;
    void (*done)(void *arg, bool ok, const char *text);
    void *arg;
};

static struct question *
first(struct differ *d)
{
    return container_of(d->questions.next, struct question, link);
}

static void
answer(struct differ *d, bool ok, const char *text)
{
    struct question *q = first(d);

    list_remove(&q->link);
    if (q->done != NULL)
        q->done(q->arg, ok, text);
    if (q->from >= 0)
        (void)close(q->from);
    if (q->to >= 0)
        (void)close(q->to);
    free(q);
}

static void
begin(struct differ *d)
{
    while (!list_is_empty(&d->questions) && !d->job.running) {
        struct question *q = first(d);
        struct message order;
        struct error err;

        message_init(&order, MESSAGE_DIFF);
        order.fds[0] = q->from;
        order.fds[1] = q->to;
        buf_deinit(&d->text);
        if (!helper_job_start(&d->job, "@helper", &order, TIME_LIMIT, &err))
            answer(d, false, err.text);
    }
}

static bool
take(struct helper_job *job, struct message *m)
{
    struct differ *d = container_of(job, struct differ, job);
    struct slice text = message_get_text(m);

    return m->type == MESSAGE_TEXT && message_is_whole(m) &&
           buf_append(&d->text, text);
}

static void
on_done(struct helper_job *job)
{
    struct differ *d = container_of(job, struct differ, job);
    struct slice bytes = buf_bytes(&d->text);
    char *text = xstrndup(bytes.ptr, bytes.len);

    if (job->failure.text[0] != '\0')
        answer(d, false, job->failure.text);
    else
        answer(d, true, text);
    free(text);
    begin(d);
}

void
differ_init(struct differ *d, struct ev_loop *loop)
{
    helper_job_init(&d->job, loop);
    d->job.message = take;
    d->job.done = on_done;
    list_init(&d->questions);
    buf_init(&d->text, TEXT_MAX);
}

void
differ_ask(struct differ *d, int from, int to,
           void (*done)(void *arg, bool ok, const char *text), void *arg)
{
    struct question *q = xcalloc(1, sizeof *q);

    *q = (struct question){.done = done, .arg = arg};
    q->from = fcntl(from, F_DUPFD_CLOEXEC, 3);
    q->to = fcntl(to, F_DUPFD_CLOEXEC, 3);
    list_init(&q->link);
    list_append(&d->questions, &q->link);
    begin(d);
}

void
differ_forget(struct differ *d, const void *arg)
{
    for (struct list *l = d->questions.next; l != &d->questions; l = l->next) {
        struct question *q = container_of(l, struct question, link);
        if (q->arg == arg)
            q->done = NULL;
    }
}

void
differ_cancel(struct differ *d)
{
    helper_job_cancel(&d->job);
    while (!list_is_empty(&d->questions))
        answer(d, false, "the gateway is stopping");
    buf_deinit(&d->text);
}
