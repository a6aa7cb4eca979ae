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

/* `q` is in no list any more. */
static void
answer(struct question *q, bool ok, const char *text)
{
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
    for (struct list *l = d->questions.next, *next; l != &d->questions;
         l = next) {
        struct question *q = container_of(l, struct question, link);
        struct message order;
        struct error err;

        next = l->next;
        if (d->asked != NULL)
            return;
        list_remove(&q->link);
        message_init(&order, MESSAGE_DIFF);
        order.fds[0] = q->from;
        order.fds[1] = q->to;
        buf_deinit(&d->text);
        if (helper_job_start(&d->job, "@helper", &order, TIME_LIMIT, &err))
            d->asked = q;
        else
            answer(q, false, err.text);
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
    bool failed = job->failure.text[0] != '\0';
    struct question *q = d->asked;

    d->asked = NULL;
    answer(q, !failed, failed ? job->failure.text : text);
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
    if (d->asked != NULL && d->asked->arg == arg)
        d->asked->done = NULL;
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
    if (d->asked != NULL)
        answer(d->asked, false, "the gateway is stopping");
    d->asked = NULL;
    for (struct list *l = d->questions.next, *next; l != &d->questions;
         l = next) {
        next = l->next;
        list_remove(l);
        answer(container_of(l, struct question, link), false,
               "the gateway is stopping");
    }
    buf_deinit(&d->text);
}
