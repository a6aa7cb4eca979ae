#include "process/control_links.h"

#include "base/slice.h"
#include "process/spawn.h"

#include <stdlib.h>
#include <unistd.h>

#define RETRY 1. /* seconds between looks for workers without a pair */

/* Our end of the pair with one worker. */
struct pair {
    struct control_links *home;
    unsigned slot;
    int fd;        /* -1: none */
    bool distrust; /* it spoke nonsense: no pair is asked for */
    ev_io io;
};

struct control_links {
    struct control_links_host host;
    struct pair *pairs;
    ev_io supervisor;
    ev_timer retry;
};

static struct pair *
pair_of(const struct control_links *l, unsigned slot)
{
    require(slot >= 1 && slot <= l->host.slot_count);
    return &l->pairs[slot - 1];
}

static void
pair_close(struct pair *p)
{
    struct control_links *l = p->home;

    if (p->fd < 0)
        return;
    ev_io_stop(l->host.loop, &p->io);
    (void)close(p->fd);
    p->fd = -1;
    l->host.lost(l->host.arg, p->slot);
}

/* A worker that takes no message has not looked for long. */
static bool
pair_send(struct pair *p, const struct message *m)
{
    if (p->fd < 0)
        return false;
    if (message_try(p->fd, m) == SEND_DONE)
        return true;
    pair_close(p);
    return false;
}

static bool
is_answer(enum message_type type)
{
    return type == MESSAGE_STATE || type == MESSAGE_SESSIONS ||
           type == MESSAGE_COUNTERS || type == MESSAGE_EVENT ||
           type == MESSAGE_DONE;
}

static bool
take_answer(struct pair *p, struct message *m)
{
    struct control_links *l = p->home;

    if (!is_answer(m->type))
        return false;
    uint64_t id = message_get_u64(m);
    return !m->bad && l->host.answered(l->host.arg, p->slot, id, m);
}

static void
on_answer(struct ev_loop *loop, ev_io *io, int events)
{
    struct pair *p = container_of(io, struct pair, io);
    struct message m;
    enum receive received = message_receive(p->fd, false, &m);
    bool valid = received == RECEIVE_DONE && take_answer(p, &m);

    (void)loop;
    (void)events;
    message_deinit(&m);
    if (valid || received == RECEIVE_AGAIN)
        return;
    if (received != RECEIVE_EOF) {
        log_error("worker %u spoke nonsense to control", p->slot);
        p->distrust = true;
    }
    pair_close(p);
}

static bool
take_worker(struct control_links *l, struct message *m)
{
    uint64_t slot = message_get_u64(m);

    if (!message_is_whole(m) || slot < 1 || slot > l->host.slot_count)
        return false;
    struct pair *p = pair_of(l, (unsigned)slot);
    pair_close(p);
    p->fd = message_take_fd(m, 0);
    p->distrust = false;
    ev_io_init(&p->io, on_answer, p->fd, EV_READ);
    ev_io_start(l->host.loop, &p->io);
    l->host.linked(l->host.arg, p->slot);
    return true;
}

static bool
take(struct control_links *l, struct message *m)
{
    struct report report;

    if (m->type == MESSAGE_WORKER)
        return take_worker(l, m);
    if (m->type == MESSAGE_LOG)
        return l->host.told(l->host.arg, m);
    if (m->type != MESSAGE_REPORT || !report_get(&report, m))
        return false;
    l->host.reported(l->host.arg, &report);
    return true;
}

/* One message; false when there is none left, or all is over. */
static bool
take_next(struct control_links *l)
{
    struct message m;
    enum receive received = message_receive(SPAWN_FD, false, &m);
    bool valid = received == RECEIVE_DONE && take(l, &m);

    message_deinit(&m);
    if (valid || received == RECEIVE_AGAIN)
        return valid;
    ev_io_stop(l->host.loop, &l->supervisor);
    if (received != RECEIVE_EOF)
        log_error("the supervisor spoke nonsense");
    l->host.over(l->host.arg);
    return false;
}

/* All there are before any request, so that the first finds all workers. */
static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct control_links *l =
        container_of(io, struct control_links, supervisor);

    (void)loop;
    (void)events;
    while (take_next(l))
        ;
}

/* Those whose pair was lost while they live on; who has none gets one as soon
 * as it is ready. */
static void
on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_links *l = container_of(timer, struct control_links, retry);

    (void)loop;
    (void)events;
    for (unsigned slot = 1; slot <= l->host.slot_count; slot++) {
        struct order order = {.kind = ORDER_LINK, .a = slot};
        const struct pair *p = pair_of(l, slot);
        if (p->fd < 0 && !p->distrust && !control_links_order(l, &order))
            return;
    }
}

bool
control_links_order(struct control_links *l, const struct order *order)
{
    struct message m;

    (void)l;
    order_put(order, &m);
    return message_try(SPAWN_FD, &m) == SEND_DONE;
}

bool
control_links_has(const struct control_links *l, unsigned slot)
{
    return pair_of(l, slot)->fd >= 0;
}

bool
control_links_ask(struct control_links *l, unsigned slot,
                  const struct question *question)
{
    struct message m;

    question_put(question, &m);
    return pair_send(pair_of(l, slot), &m);
}

void
control_links_grant(struct control_links *l, unsigned slot, uint64_t id,
                    uint64_t credit)
{
    struct message m;

    message_init(&m, MESSAGE_GRANT);
    message_put_u64(&m, id);
    message_put_u64(&m, credit);
    (void)pair_send(pair_of(l, slot), &m);
}

void
control_links_forget(struct control_links *l, unsigned slot, uint64_t id)
{
    struct message m;

    message_init(&m, MESSAGE_FORGET);
    message_put_u64(&m, id);
    (void)pair_send(pair_of(l, slot), &m);
}

struct control_links *
control_links_new(const struct control_links_host *host)
{
    struct control_links *l = xcalloc(1, sizeof *l);

    l->host = *host;
    l->pairs = xcalloc(host->slot_count + 1, sizeof *l->pairs);
    for (unsigned i = 0; i < host->slot_count; i++)
        l->pairs[i] = (struct pair){.home = l, .slot = i + 1, .fd = -1};
    ev_io_init(&l->supervisor, on_message, SPAWN_FD, EV_READ);
    ev_set_priority(&l->supervisor, EV_MAXPRI);
    ev_io_start(host->loop, &l->supervisor);
    ev_timer_init(&l->retry, on_retry, RETRY, RETRY);
    ev_timer_start(host->loop, &l->retry);
    return l;
}

void
control_links_free(struct control_links *l)
{
    for (unsigned slot = 1; slot <= l->host.slot_count; slot++)
        pair_close(pair_of(l, slot));
    ev_io_stop(l->host.loop, &l->supervisor);
    ev_timer_stop(l->host.loop, &l->retry);
    free(l->pairs);
    free(l);
}
