#include "process/control_link.h"

#include "base/list.h"
#include "base/slice.h"
#include "process/control_words.h"
#include "process/log_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST 0.1 /* seconds; doubled from then on */
#define BACKOFF_MAX   10.
#define LASTING       10.
#define PIECE         (MESSAGE_MAX - 64)
#define STATUS_MAX    ((size_t)4 * 1024 * 1024)

/* An order of the running process whose reply is not all said. */
struct pending {
    struct list link;
    struct control_link *home;
    uint64_t id;
    bool ready, ok; /* the text is there */
    struct buf text;
};

struct control_link {
    struct control_link_host host;
    struct addr address;
    int socket;
    bool running;  /* there is a process */
    bool stopping; /* and no other will be started */
    struct child child;
    ev_child exit;
    ev_io reading, writing;
    ev_timer timer; /* until the next start */
    ev_tstamp began, first;
    ev_tstamp started; /* the gateway; wall clock */
    unsigned failures;
    struct list orders;
    size_t order_count;
};

/* --- pairs --- */

static bool
send_fd(int to, enum message_type type, uint64_t slot, int fd)
{
    struct message m;

    message_init(&m, type);
    if (type == MESSAGE_WORKER)
        message_put_u64(&m, slot);
    m.fds[0] = fd;
    return message_try(to, &m) == SEND_DONE;
}

/* What fails here ends the pair for both: control asks for another. */
void
control_link_connect(struct control_link *l, struct slot *slot)
{
    int ends[2];

    if (l == NULL || !l->running || slot->state != SLOT_READY)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        log_warn("control: socketpair: %s", strerror(errno));
        return;
    }
    if (!send_fd(l->child.fd, MESSAGE_WORKER, slot->number, ends[0]) ||
        !send_fd(slot->child.fd, MESSAGE_CONTROL, 0, ends[1]))
        log_warn("control: no link with worker %u", slot->number);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* --- orders --- */

static void
pending_free(struct control_link *l, struct pending *p)
{
    if (!p->ready)
        reload_forget(l->host.reload, p);
    list_remove(&p->link);
    l->order_count--;
    buf_deinit(&p->text);
    free(p);
}

static void
forget_orders(struct control_link *l)
{
    for (struct list *i = l->orders.next, *next; i != &l->orders; i = next) {
        next = i->next;
        pending_free(l, container_of(i, struct pending, link));
    }
}

/* What there is to say of one; false while there is no room for all of it. */
static bool
say(struct control_link *l, struct pending *p)
{
    struct slice text = buf_bytes(&p->text);
    struct report report = {.order = p->id, .ok = p->ok};
    struct message m;

    while (!report.last) {
        report.text = slice_take(text, PIECE);
        report.last = report.text.len == text.len;
        report_put(&report, &m);
        if (message_try(l->child.fd, &m) != SEND_DONE)
            return false;
        text = slice_drop(text, PIECE);
        buf_consume(&p->text, report.text.len);
    }
    return true;
}

/* Says all that there is room for. */
static void
say_reports(struct control_link *l)
{
    for (struct list *i = l->orders.next, *next; i != &l->orders; i = next) {
        struct pending *p = container_of(i, struct pending, link);
        next = i->next;
        if (!p->ready)
            continue;
        if (!say(l, p)) {
            ev_io_start(l->host.loop, &l->writing);
            return;
        }
        pending_free(l, p);
    }
    ev_io_stop(l->host.loop, &l->writing);
}

static bool
put_worker(struct buf *json, const struct control_link *l, const struct slot *s,
           const char *comma)
{
    static const char *const states[] = {
        [SLOT_DOWN] = "down",
        [SLOT_STARTING] = "starting",
        [SLOT_READY] = "ready",
    };
    const char *state = slot_is_alive(s) || s->state != SLOT_READY
                            ? states[s->state]
                            : "silent";

    return buf_printf(
        json,
        "%s{\"slot\":%u,\"pid\":%d,\"state\":\"%s\","
        "\"seconds\":%.3f,\"restarts\":%u}",
        comma, s->number, s->state == SLOT_DOWN ? 0 : (int)s->child.pid, state,
        ev_now(l->host.loop) - s->began, s->starts > 0 ? s->starts - 1 : 0);
}

static bool
put_listeners(struct buf *json, const struct control_link *l)
{
    char address[ADDR_TEXT_MAX], name[256], safe[ADDR_TEXT_MAX * 6];
    bool fits = true;

    for (size_t i = 0; i < l->host.sockets->listener_count; i++) {
        const struct listening *one = l->host.sockets->all[i];
        (void)addr_format(&one->real, address);
        fits =
            fits &&
            buf_printf(json, "%s{\"name\":\"%s\",\"address\":\"%s\"}",
                       i > 0 ? "," : "",
                       log_escape_json(slice_of(one->name), name, sizeof name),
                       log_escape_json(slice_of(address), safe, sizeof safe));
    }
    return fits;
}

static bool
put_generation(struct buf *json, const struct served *g, bool live)
{
    return buf_printf(json,
                      "%s{\"number\":%u,\"origin\":%u,\"since\":%.3f,"
                      "\"hash\":\"%s\",\"reason\":\"%s\",\"live\":%s}",
                      live ? "" : ",", g->number, g->origin, g->since, g->hash,
                      g->reason, live ? "true" : "false");
}

static bool
put_generations(struct buf *json, const struct reload *r)
{
    bool fits = put_generation(json, &r->served, true);

    for (size_t i = 0; i < r->kept_count; i++)
        fits = fits && put_generation(json, &r->kept[i].served, false);
    return fits;
}

/* Why the last reload or rollback was refused, until one is not. */
static bool
put_refusal(struct buf *json, const struct reload *r)
{
    if (r->refusal == NULL)
        return true;
    size_t size = 6 * strlen(r->refusal) + 8;
    char *safe = xmalloc(size);
    bool fits = buf_printf(json, ",\"refused\":{\"at\":%.3f,\"error\":\"%s\"}",
                           r->refused,
                           log_escape_json(slice_of(r->refusal), safe, size));

    free(safe);
    return fits;
}

static bool
put_workers(struct buf *json, const struct control_link *l)
{
    bool fits = true;

    for (size_t i = 0; i < l->host.slot_count; i++)
        fits = fits && put_worker(json, l, &l->host.slots[i], i > 0 ? "," : "");
    return fits;
}

static bool
put_status(struct buf *json, struct control_link *l)
{
    return buf_printf(
               json,
               "{\"version\":\"" MOONGATE_VERSION "\",\"pid\":%d,"
               "\"started\":%.3f,\"seconds\":%.3f,\"state\":\"%s\","
               "\"generation\":%u",
               (int)getpid(), l->started, ev_now(l->host.loop) - l->first,
               l->host.state(l->host.arg), l->host.reload->served.number) &&
           buf_printf(json, ",\"workers\":[") && put_workers(json, l) &&
           buf_printf(json, "],\"listeners\":[") && put_listeners(json, l) &&
           buf_printf(json, "],\"generations\":[") &&
           put_generations(json, l->host.reload) &&
           buf_printf(json,
                      "],\"reloads\":{\"done\":%lu,\"refused\":%lu},"
                      "\"log_dropped\":%" PRIu64,
                      l->host.reload->commits, l->host.reload->refusals,
                      log_writer_dropped()) &&
           put_refusal(json, l->host.reload) && buf_printf(json, "}");
}

/* How an order went; may free it. */
static void
on_carried_out(void *arg, bool ok, const char *text)
{
    struct pending *p = arg;

    p->ready = true;
    p->ok =
        buf_append(&p->text, slice_take(slice_of(text), buf_room(&p->text))) &&
        ok;
    say_reports(p->home);
}

static void
carry_out(struct control_link *l, const struct order *order, struct pending *p)
{
    struct reload *r = l->host.reload;

    switch (order->kind) {
    case ORDER_STATUS:
        p->ready = true;
        p->ok = put_status(&p->text, l);
        say_reports(l);
        return;
    case ORDER_RELOAD:
        reload_order(r, RELOAD_FILES, 0, on_carried_out, p);
        return;
    case ORDER_ROLLBACK:
        reload_order(r, RELOAD_ROLLBACK, order->a, on_carried_out, p);
        return;
    case ORDER_DIFF:
        reload_diff(r, order->a, order->b, on_carried_out, p);
        return;
    case ORDER_LINK:
    case ORDER_COUNT:
        break;
    }
    unreachable();
}

/* Clients that did not wait for their answers have left too many behind. */
static bool
turn_away(const struct control_link *l, uint64_t id)
{
    struct report report = {
        .order = id, .last = true, .text = S("too many orders wait already")};
    struct message m;

    report_put(&report, &m);
    return message_try(l->child.fd, &m) == SEND_DONE;
}

static bool
take_order(struct control_link *l, struct message *m)
{
    struct order order;

    if (m->type != MESSAGE_ORDER || !order_get(&order, m))
        return false;
    if (order.kind == ORDER_LINK) {
        if (order.a < 1 || order.a > l->host.slot_count)
            return false;
        control_link_connect(l, &l->host.slots[order.a - 1]);
        return true;
    }
    if (l->order_count >= (size_t)2 * ORDERS_MAX)
        return false;
    if (l->order_count >= ORDERS_MAX && order.kind != ORDER_STATUS)
        return turn_away(l, order.id);
    struct pending *p = xcalloc(1, sizeof *p);
    p->home = l;
    p->id = order.id;
    buf_init(&p->text, STATUS_MAX);
    list_append(&l->orders, &p->link);
    l->order_count++;
    carry_out(l, &order, p);
    return true;
}

/* --- the process --- */

static void
on_message(struct ev_loop *loop, ev_io *io, int events)
{
    struct control_link *l = container_of(io, struct control_link, reading);
    struct message m;
    enum receive received = message_receive(l->child.fd, false, &m);
    bool valid = received == RECEIVE_DONE && take_order(l, &m);

    (void)events;
    message_deinit(&m);
    if (valid || received == RECEIVE_AGAIN)
        return;
    /* Its end follows at once: on_ended does the rest. */
    ev_io_stop(loop, io);
    ev_io_stop(loop, &l->writing);
    if (received != RECEIVE_EOF)
        log_error("the control process spoke nonsense");
    control_link_kill(l);
}

static void
on_room(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    say_reports(container_of(io, struct control_link, writing));
}

static bool
send_setup(const struct control_link *l, struct error *err)
{
    const struct plan *plan = &l->host.evaluation->plan;
    struct control_setup setup = {
        .identity = l->host.evaluation->identity,
        .log_level = plan->log_level,
        .log_format = plan->log_format,
        .slot_count = (unsigned)l->host.slot_count,
        .socket = l->socket,
        .log = l->host.log->all[0],
    };
    struct message m;

    control_setup_put(&setup, &m);
    if (!message_send(l->child.fd, &m, err))
        return false;
    for (size_t i = 1; i < l->host.log->count; i++) {
        log_targets_tell(l->host.log, i, plan->log_level, plan->log_format, &m);
        if (!message_send(l->child.fd, &m, err))
            return false;
    }
    return true;
}

static void
start_later(struct control_link *l)
{
    double delay = BACKOFF_FIRST;

    for (unsigned i = 1; i < l->failures && delay < BACKOFF_MAX; i++)
        delay *= 2;
    ev_timer_stop(l->host.loop, &l->timer);
    ev_timer_set(&l->timer, delay < BACKOFF_MAX ? delay : BACKOFF_MAX, 0.);
    ev_timer_start(l->host.loop, &l->timer);
}

static void
start(struct control_link *l)
{
    struct ev_loop *loop = l->host.loop;
    struct error err;

    if (!spawn("@control", "", &l->child, &err)) {
        log_error("the control process: %s", err.text);
        l->failures++;
        start_later(l);
        return;
    }
    l->running = true;
    l->began = ev_now(loop);
    ev_child_set(&l->exit, l->child.pid, 0);
    ev_child_start(loop, &l->exit);
    ev_io_init(&l->reading, on_message, l->child.fd, EV_READ);
    ev_io_init(&l->writing, on_room, l->child.fd, EV_WRITE);
    ev_io_start(loop, &l->reading);
    if (!send_setup(l, &err)) {
        log_error("the control process: %s", err.text);
        control_link_kill(l);
        return;
    }
    for (size_t i = 0; i < l->host.slot_count; i++)
        control_link_connect(l, &l->host.slots[i]);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    start(container_of(timer, struct control_link, timer));
}

static void
log_exit(const struct control_link *l, int status)
{
    int pid = (int)l->child.pid;

    if (WIFSIGNALED(status))
        log_error("the control process (%d) died of signal %d (%s)", pid,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0 || !l->stopping)
        log_error("the control process (%d) exited with status %d", pid,
                  WEXITSTATUS(status));
}

static void
on_ended(struct ev_loop *loop, ev_child *exit, int events)
{
    struct control_link *l = container_of(exit, struct control_link, exit);

    (void)events;
    ev_child_stop(loop, exit);
    log_exit(l, exit->rstatus);
    ev_io_stop(loop, &l->reading);
    ev_io_stop(loop, &l->writing);
    if (!l->stopping)
        (void)close(l->child.fd);
    l->running = false;
    forget_orders(l);
    l->failures = ev_now(loop) - l->began > LASTING ? 1 : l->failures + 1;
    if (l->stopping)
        l->host.down(l->host.arg);
    else
        start_later(l);
}

void
control_link_start(struct control_link *l, const struct control_link_host *host)
{
    if (l == NULL)
        return;
    l->host = *host;
    l->first = ev_now(host->loop);
    l->started = ev_time();
    start(l);
}

void
control_link_tell(struct control_link *l, const struct message *m)
{
    struct error err;

    if (l != NULL && l->running && !l->stopping &&
        !message_send(l->child.fd, m, &err))
        log_warn("the control process: %s", err.text);
}

/* It ends when it has nobody to serve any more. */
bool
control_link_stop(struct control_link *l)
{
    if (l == NULL || l->host.loop == NULL)
        return true;
    ev_timer_stop(l->host.loop, &l->timer);
    if (!l->stopping && l->running) {
        ev_io_stop(l->host.loop, &l->reading);
        ev_io_stop(l->host.loop, &l->writing);
        (void)close(l->child.fd);
    }
    l->stopping = true;
    return !l->running;
}

void
control_link_kill(struct control_link *l)
{
    if (l != NULL && l->running)
        (void)kill(l->child.pid, SIGKILL);
}

/* --- the socket --- */

/* Folders of /run are gone after a restart of the machine; a service manager
 * makes ours, or else we do.  What fails here, bind tells. */
static void
make_folder(const char *address)
{
    const char *path = address + strlen("unix:");
    const char *slash = strrchr(path, '/');
    char *folder = xstrndup(path, (size_t)(slash - path));

    (void)mkdir(folder, 0755);
    free(folder);
}

struct control_link *
control_link_open(const struct plan *plan, struct error *err)
{
    struct control_link *l;

    err->text[0] = '\0';
    if (plan->control == NULL)
        return NULL;
    l = xcalloc(1, sizeof *l);
    list_init(&l->orders);
    ev_init(&l->exit, on_ended);
    ev_init(&l->timer, on_timer);
    l->socket = -1;
    make_folder(plan->control);
    if (addr_parse(slice_of(plan->control), 0, &l->address, err))
        l->socket = listener_bind(&l->address, &plan->control_socket, err);
    if (l->socket >= 0)
        return l;
    (void)error_context(err, "control");
    free(l);
    return NULL;
}

void
control_link_free(struct control_link *l)
{
    if (l == NULL)
        return;
    require(!l->running);
    (void)close(l->socket);
    (void)unlink(l->address.local.sun_path);
    free(l);
}
