#include "process/control_api.h"

#include "base/slice.h"
#include "process/control_request.h"
#include "process/metrics.h"
#include "process/supervisor_gauges.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON     "application/json"
#define EVENTS   "application/x-ndjson"
#define PATIENCE 3. /* seconds until a worker that says nothing is missing */
#define SWEEP    0.25

#define METRICS_MAX ((size_t)32 * 1024 * 1024)

struct control_api {
    struct ev_loop *loop;
    struct control_links *links;
    unsigned slot_count;
    struct list requests;
    struct tally *tally;
    uint64_t last_id;
    ev_timer sweep;
};

/* false: the request has been answered. */
static bool
begin_order(struct request *r, struct order order)
{
    order.id = r->question.id;
    r->ordered = control_links_order(r->links, &order);
    if (!r->ordered)
        request_fail(r, 503, "the supervisor is busy");
    return r->ordered;
}

/* --- GET /v1/status --- */

static void
begin_status(struct request *r)
{
    if (begin_order(r, (struct order){.kind = ORDER_STATUS}))
        request_ask(r, QUESTION_STATE, 0);
}

static bool
take_state(struct request *r, struct part *part, struct message *m)
{
    (void)r;
    if (m->type != MESSAGE_STATE)
        return false;
    worker_state_get(&part->status, m);
    return true;
}

/* What only the workers know is added to what the supervisor does. */
static void
add_states(struct request *r, cJSON *status)
{
    cJSON *worker;
    double sessions = 0;

    cJSON_ArrayForEach(worker, cJSON_GetObjectItem(status, "workers"))
    {
        const cJSON *slot = cJSON_GetObjectItem(worker, "slot");
        if (!cJSON_IsNumber(slot) || slot->valueint < 1 ||
            slot->valueint > (int)r->slot_count)
            continue;
        const struct part *part = &r->parts[slot->valueint - 1];
        if (part->state != PART_DONE)
            continue;
        sessions += (double)part->status.sessions;
        (void)cJSON_AddNumberToObject(worker, "sessions",
                                      (double)part->status.sessions);
        (void)cJSON_AddNumberToObject(worker, "generation",
                                      (double)part->status.generation);
    }
    (void)cJSON_AddNumberToObject(status, "sessions", sessions);
}

static void
finish_status(struct request *r)
{
    struct slice text = buf_bytes(&r->reply);
    cJSON *status = cJSON_ParseWithLength(text.ptr, text.len);

    if (r->order_failed || !cJSON_IsObject(status)) {
        request_fail(r, 500, "the supervisor did not tell its state");
    } else {
        add_states(r, status);
        exchange_start(r->exchange, 200, JSON);
        request_put_json(r, status);
        exchange_write(r->exchange, S("\n"));
    }
    cJSON_Delete(status);
}

/* --- POST /v1/reload, POST /v1/rollback, GET /v1/diff --- */

static void
begin_reload(struct request *r)
{
    (void)begin_order(r, (struct order){.kind = ORDER_RELOAD});
}

/* The numbers of generations that are given, by name. */
struct numbers {
    const char *names[2];
    unsigned values[2];
    const char *expected; /* what to say when they are not */
    bool wrong;
};

/* 0: it is no such number. */
static unsigned
to_number(struct slice digits)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
    }
    size_t number = slice_to_size(digits);
    return number <= INT32_MAX ? (unsigned)number : 0;
}

static bool
read_number(void *arg, struct slice name, struct slice value)
{
    struct numbers *n = arg;

    n->wrong = true;
    for (size_t i = 0; i < 2 && n->names[i] != NULL; i++) {
        if (!slice_equal(name, slice_of(n->names[i])))
            continue;
        n->values[i] = to_number(value);
        n->wrong = n->values[i] == 0;
        break;
    }
    return !n->wrong;
}

/* false: the request has been answered. */
static bool
read_numbers(struct request *r, struct numbers *n)
{
    exchange_each_query(r->exchange, read_number, n);
    if (n->wrong)
        request_fail(r, 400, "%s", n->expected);
    return !n->wrong;
}

static void
begin_rollback(struct request *r)
{
    struct numbers n = {
        .names = {"generation"},
        .expected = "generation: the number of one expected",
    };

    if (read_numbers(r, &n))
        (void)begin_order(
            r, (struct order){.kind = ORDER_ROLLBACK, .a = n.values[0]});
}

static void
begin_diff(struct request *r)
{
    struct numbers n = {
        .names = {"from", "to"},
        .expected = "from and to: the numbers of two generations expected",
    };

    if (!read_numbers(r, &n))
        return;
    if (n.values[0] == 0 || n.values[1] == 0)
        request_fail(r, 400, "%s", n.expected);
    else
        (void)begin_order(r, (struct order){.kind = ORDER_DIFF,
                                            .a = n.values[0],
                                            .b = n.values[1]});
}

/* What the supervisor said, as it is. */
static void
finish_order(struct request *r)
{
    struct slice text = buf_bytes(&r->reply);

    if (r->route->changes)
        log_info("control: uid %u ordered %s: %s",
                 (unsigned)exchange_uid(r->exchange),
                 exchange_path(r->exchange),
                 r->order_failed ? "refused" : "done");
    exchange_start(r->exchange, r->order_failed ? 409 : 200, JSON);
    request_put_long_text(r,
                          r->order_failed ? "{\"error\":" : "{\"text\":", text);
    exchange_write(r->exchange, S("}\n"));
}

/* --- GET /v1/sessions --- */

static void
begin_sessions(struct request *r)
{
    if (!request_read(r))
        return;
    exchange_start(r->exchange, 200, JSON);
    exchange_write(r->exchange, S("{\"sessions\":["));
    request_ask(r, QUESTION_SESSIONS, CREDIT);
}

static void
put_session(struct request *r, const struct session_row *row)
{
    request_put_text(r, r->count > 0 ? ",\n{\"id\":" : "\n{\"id\":", row->id);
    request_put_text(r, ",\"client\":", row->client);
    request_put_text(r, ",\"listener\":", row->listener);
    request_put_text(r, ",\"protocol\":", row->protocol);
    request_put_text(r, ",\"phase\":", row->phase);
    if (row->user.len > 0)
        request_put_text(r, ",\"user\":", row->user);
    if (row->upstream.len > 0)
        request_put_text(r, ",\"upstream\":", row->upstream);
    if (row->pool.len > 0)
        request_put_text(r, ",\"pool\":", row->pool);
    if (row->tls.len > 0)
        request_put_text(r, ",\"tls\":", row->tls);
    exchange_printf(r->exchange,
                    ",\"seconds\":%.3f,\"in\":%" PRIu64 ",\"out\":%" PRIu64
                    ",\"generation\":%" PRIu64,
                    row->seconds > 0 ? row->seconds : 0, row->in, row->out,
                    row->generation);
}

static bool
take_sessions(struct request *r, struct part *part, struct message *m)
{
    struct session_row row;
    unsigned slot = (unsigned)(part - r->parts) + 1;

    if (m->type != MESSAGE_SESSIONS || part->credit == 0)
        return false;
    part->credit--;
    part->owed++;
    while (m->at < m->len) {
        session_row_get(&row, m);
        if (m->bad)
            return false;
        put_session(r, &row);
        exchange_printf(r->exchange, ",\"worker\":%u}", slot);
        r->count++;
    }
    request_grant(r);
    return true;
}

static void
finish_sessions(struct request *r)
{
    exchange_printf(r->exchange, "],\"count\":%" PRIu64, r->count);
    request_put_missing(r);
    exchange_write(r->exchange, S("}\n"));
}

/* --- POST /v1/kick --- */

static void
begin_kick(struct request *r)
{
    if (!request_read(r))
        return;
    if (!session_filter_is_narrow(&r->question.filter)) {
        request_fail(r, 400, "whom? user, session or ip is needed");
        return;
    }
    request_ask(r, QUESTION_KICK, 0);
}

static bool
take_nothing(struct request *r, struct part *part, struct message *m)
{
    (void)r;
    (void)part;
    (void)m;
    return false;
}

static void
log_kick(const struct request *r)
{
    const struct session_filter *f = &r->question.filter;
    char user[1100], session[80], reason[900];

    log_info("control: uid %u ended %" PRIu64 " sessions: user=\"%s\" "
             "session=\"%s\" ip=\"%s\" reason=\"%s\"",
             (unsigned)exchange_uid(r->exchange), r->count,
             log_escape(slice_of(f->user), user, sizeof user),
             log_escape(slice_of(f->session), session, sizeof session), f->ip,
             log_escape(r->question.reason, reason, sizeof reason));
}

static void
finish_kick(struct request *r)
{
    log_kick(r);
    exchange_start(r->exchange, 200, JSON);
    exchange_printf(r->exchange, "{\"kicked\":%" PRIu64, r->count);
    request_put_missing(r);
    exchange_write(r->exchange, S("}\n"));
}

/* --- POST /v1/purge --- */

/* Copies a text of the body; its ptr is NULL if it is not there. */
static bool
read_text(const cJSON *value, char *room, size_t size, struct slice *text)
{
    if (value == NULL)
        return true;
    if (!cJSON_IsString(value) || strlen(value->valuestring) >= size)
        return false;
    (void)snprintf(room, size, "%s", value->valuestring);
    *text = slice_of(room);
    return true;
}

static void
begin_purge(struct request *r)
{
    struct slice body = exchange_body(r->exchange);
    struct purge *p = &r->question.purge;
    cJSON *json = cJSON_ParseWithLength(body.ptr, body.len);
    bool fine = read_text(cJSON_GetObjectItemCaseSensitive(json, "name"),
                          r->purge_name, sizeof r->purge_name, &p->name) &&
                read_text(cJSON_GetObjectItemCaseSensitive(json, "key"),
                          r->purge_key, sizeof r->purge_key, &p->key);

    cJSON_Delete(json);
    if (fine && p->name.len > 0)
        request_ask(r, QUESTION_PURGE, 0);
    else
        request_fail(r, 400,
                     "name, and if need be key: texts of up to %d and "
                     "%d bytes expected",
                     MEMO_NAME_MAX, MEMO_PURGE_MAX);
}

static void
finish_purge(struct request *r)
{
    char name[6 * MEMO_NAME_MAX + 8];

    log_info("control: uid %u purged \"%s\"",
             (unsigned)exchange_uid(r->exchange),
             log_escape(r->question.purge.name, name, sizeof name));
    exchange_start(r->exchange, 200, JSON);
    exchange_write(r->exchange, S("{\"purged\":true"));
    request_put_missing(r);
    exchange_write(r->exchange, S("}\n"));
}

/* --- GET /v1/counters --- */

static void
begin_counters(struct request *r)
{
    request_ask(r, QUESTION_COUNTERS, CREDIT);
}

static bool
take_counters(struct request *r, struct part *part, struct message *m)
{
    struct counter_row row;

    if (m->type != MESSAGE_COUNTERS || part->credit == 0)
        return false;
    part->credit--;
    part->owed++;
    if (part->counters == NULL)
        part->counters = tally_part_new();
    while (m->at < m->len) {
        counter_row_get(&row, m);
        if (m->bad || !tally_part_add(part->counters, &row))
            return false;
    }
    request_grant(r);
    return true;
}

struct putting {
    struct request *r;
    const char *comma;
};

static void
put_counter(void *arg, const struct counter *counter)
{
    struct putting *p = arg;
    struct exchange *x = p->r->exchange;

    exchange_printf(x, "%s\n", p->comma);
    request_put_text(p->r, "{\"name\":", slice_of(counter->name));
    exchange_printf(x, ",\"value\":%.17g,\"gauge\":%s,\"policy\":%s}",
                    counter->value, counter->is_gauge ? "true" : "false",
                    counter->is_of_policy ? "true" : "false");
    p->comma = ",";
}

static void
finish_counters(struct request *r)
{
    struct counters *sum = tally_sum(r->tally);
    struct putting putting = {r, ""};

    exchange_start(r->exchange, 200, JSON);
    exchange_write(r->exchange, S("{\"counters\":["));
    counters_each(sum, put_counter, &putting);
    exchange_write(r->exchange, S("]"));
    request_put_missing(r);
    exchange_write(r->exchange, S("}\n"));
    counters_free(sum);
}

/* --- GET /v1/metrics --- */

static void
begin_metrics(struct request *r)
{
    if (begin_order(r, (struct order){.kind = ORDER_STATUS}))
        request_ask(r, QUESTION_COUNTERS, CREDIT);
}

static unsigned
count_missing(const struct request *r)
{
    unsigned missing = 0;

    for (unsigned i = 0; i < r->slot_count; i++)
        missing += r->parts[i].state != PART_DONE;
    return missing;
}

static void
finish_metrics(struct request *r)
{
    struct slice text = buf_bytes(&r->reply);
    cJSON *status = cJSON_ParseWithLength(text.ptr, text.len);
    struct buf out;

    if (r->order_failed || !cJSON_IsObject(status)) {
        request_fail(r, 500, "the supervisor did not tell its state");
        cJSON_Delete(status);
        return;
    }
    struct counters *sum = tally_sum(r->tally);
    counters_gauge(sum, "workers_missing")->value = count_missing(r);
    supervisor_gauges_read(sum, status);
    buf_init(&out, METRICS_MAX);
    exchange_start(r->exchange, 200, METRICS_TYPE);
    if (metrics_write(sum, &out))
        exchange_write(r->exchange, buf_bytes(&out));
    else
        exchange_abort(r->exchange);
    buf_deinit(&out);
    counters_free(sum);
    cJSON_Delete(status);
}

/* --- GET /v1/trace, /v1/record --- */

static void
begin_trace(struct request *r)
{
    if (!request_read(r))
        return;
    exchange_start(r->exchange, 200, EVENTS);
    request_ask(r, QUESTION_EVENTS, 0);
}

static void
begin_record(struct request *r)
{
    if (!request_read(r))
        return;
    exchange_start(r->exchange, 200, EVENTS);
    request_ask(r, QUESTION_RECORD, 0);
}

/* Once every worker has said that it listens. */
static void
tell_watching(struct request *r)
{
    unsigned workers = 0;

    for (unsigned i = 0; i < r->slot_count; i++) {
        if (r->parts[i].state == PART_WAITS && r->parts[i].owed == 0)
            return;
        workers += r->parts[i].state == PART_WAITS;
    }
    r->watching = true;
    exchange_printf(r->exchange, "{\"watching\":%u}\n", workers);
}

static void
tell_lost(struct request *r)
{
    if (r->lost == 0 || exchange_waiting(r->exchange) > FOLLOWED_MAX)
        return;
    exchange_printf(r->exchange, "{\"lost\":%" PRIu64 "}\n", r->lost);
    r->lost = 0;
}

static bool
take_event(struct request *r, struct part *part, struct message *m)
{
    struct event event;

    if (m->type != MESSAGE_EVENT)
        return false;
    event_get(&event, m);
    part->owed = 1; /* it listens */
    if (!r->watching)
        tell_watching(r);
    r->lost += event.lost < UINT32_MAX ? event.lost : UINT32_MAX;
    tell_lost(r);
    if (m->bad || event.text.len == 0)
        return !m->bad;
    if (slice_find(event.text, '\n') < event.text.len)
        return false;
    if (exchange_waiting(r->exchange) > FOLLOWED_MAX) {
        r->lost++;
        return true;
    }
    exchange_write(r->exchange, event.text);
    exchange_write(r->exchange, S("\n"));
    return true;
}

static void
finish_nothing(struct request *r)
{
    (void)r;
}

/* --- routes --- */

static const struct route routes[] = {
    {"GET", "/v1/status", begin_status, take_state, finish_status, false,
     false},
    {"GET", "/v1/sessions", begin_sessions, take_sessions, finish_sessions,
     false, false},
    {"POST", "/v1/reload", begin_reload, take_nothing, finish_order, false,
     true},
    {"POST", "/v1/rollback", begin_rollback, take_nothing, finish_order, false,
     true},
    {"GET", "/v1/diff", begin_diff, take_nothing, finish_order, false, false},
    {"POST", "/v1/kick", begin_kick, take_nothing, finish_kick, false, true},
    {"POST", "/v1/purge", begin_purge, take_nothing, finish_purge, false, true},
    {"GET", "/v1/counters", begin_counters, take_counters, finish_counters,
     false, false},
    {"GET", "/v1/metrics", begin_metrics, take_counters, finish_metrics, false,
     false},
    {"GET", "/v1/trace", begin_trace, take_event, finish_nothing, true, false},
    {"GET", "/v1/record", begin_record, take_event, finish_nothing, true,
     false},
};

#define ROUTES (sizeof routes / sizeof routes[0])

/* The route, or what an unknown one is answered with. */
static const struct route *
find_route(const struct exchange *x, unsigned *status)
{
    *status = 404;
    for (size_t i = 0; i < ROUTES; i++) {
        if (strcmp(routes[i].path, exchange_path(x)) != 0)
            continue;
        if (strcmp(routes[i].method, exchange_method(x)) == 0)
            return &routes[i];
        *status = 405;
    }
    return NULL;
}

static struct request *
request_new(struct control_api *a, struct exchange *x)
{
    struct request *r = xcalloc(1, sizeof *r);

    r->loop = a->loop;
    r->links = a->links;
    r->tally = a->tally;
    r->exchange = x;
    r->slot_count = a->slot_count;
    r->parts = xcalloc(a->slot_count + 1, sizeof *r->parts);
    r->question.id = ++a->last_id;
    session_filter_init(&r->question.filter);
    r->question.reason = S("");
    buf_init(&r->reply, REPLY_MAX);
    list_append(&a->requests, &r->link);
    exchange_set_state(x, r);
    return r;
}

void
control_api_begin(void *arg, struct exchange *x)
{
    struct control_api *a = arg;
    struct request *r = request_new(a, x);
    unsigned status;

    r->route = find_route(x, &status);
    if (r->route == NULL) {
        request_fail(r, status,
                     status == 404 ? "there is no such path"
                                   : "the path takes another method");
        return;
    }
    r->route->begin(r);
    request_end_if_over(r);
}

void
control_api_drained(void *arg, struct exchange *x)
{
    struct request *r = exchange_state(x);

    (void)arg;
    if (r == NULL || r->finished)
        return;
    r->progress = ev_now(r->loop);
    if (r->route->for_ever)
        tell_lost(r);
    else
        request_grant(r);
}

void
control_api_gone(void *arg, struct exchange *x)
{
    struct request *r = exchange_state(x);

    (void)arg;
    if (r == NULL)
        return;
    for (unsigned slot = 1; slot <= r->slot_count; slot++) {
        if (r->parts[slot - 1].state == PART_WAITS)
            control_links_forget(r->links, slot, r->question.id);
    }
    list_remove(&r->link);
    for (unsigned i = 0; i < r->slot_count; i++)
        tally_part_free(r->parts[i].counters);
    buf_deinit(&r->reply);
    free(r->parts);
    free(r);
}

/* --- answers --- */

/* What comes for a request that is over is nothing wrong. */
static struct request *
find(struct control_api *a, uint64_t id)
{
    for (struct list *i = a->requests.next; i != &a->requests; i = i->next) {
        struct request *r = container_of(i, struct request, link);
        if (r->question.id == id)
            return r->finished ? NULL : r;
    }
    return NULL;
}

void
control_api_reported(void *arg, const struct report *report)
{
    struct request *r = find(arg, report->order);

    if (r == NULL || !r->ordered)
        return;
    r->progress = ev_now(r->loop);
    struct slice fits = slice_take(report->text, buf_room(&r->reply));
    r->order_failed |= !buf_append(&r->reply, fits) || !report->ok;
    r->ordered = !report->last;
    request_end_if_over(r);
}

bool
control_api_answered(void *arg, unsigned slot, uint64_t id, struct message *m)
{
    struct request *r = find(arg, id);
    struct part *part = r != NULL ? &r->parts[slot - 1] : NULL;

    if (part == NULL || part->state != PART_WAITS)
        return true;
    r->progress = ev_now(r->loop);
    if (m->type != MESSAGE_DONE)
        return r->route->take(r, part, m) && message_is_whole(m);
    uint64_t count = message_get_u64(m);
    if (!message_is_whole(m))
        return false;
    if (r->question.kind == QUESTION_KICK)
        r->count += count;
    if (part->counters != NULL)
        tally_take(r->tally, slot, id, part->counters);
    part->counters = NULL;
    request_part_over(r, part, PART_DONE);
    request_end_if_over(r);
    return true;
}

void
control_api_linked(void *arg, unsigned slot)
{
    struct control_api *a = arg;

    for (struct list *i = a->requests.next; i != &a->requests; i = i->next) {
        struct request *r = container_of(i, struct request, link);
        if (r->route != NULL && r->route->for_ever && !r->finished)
            request_ask_one(r, slot);
    }
}

void
control_api_lost(void *arg, unsigned slot)
{
    struct control_api *a = arg;

    tally_lost(a->tally, slot);
    for (struct list *i = a->requests.next; i != &a->requests; i = i->next) {
        struct request *r = container_of(i, struct request, link);
        if (r->parts[slot - 1].state != PART_WAITS)
            continue;
        request_part_over(r, &r->parts[slot - 1], PART_MISSING);
        request_end_if_over(r);
    }
}

/* Workers that are stuck are left out.  One that waits for a grant waits for
 * the client. */
static void
give_up(struct request *r)
{
    for (unsigned slot = 1; slot <= r->slot_count; slot++) {
        struct part *part = &r->parts[slot - 1];
        if (part->state != PART_WAITS || part->owed > 0)
            continue;
        control_links_forget(r->links, slot, r->question.id);
        request_part_over(r, part, PART_MISSING);
    }
    request_end_if_over(r);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_api *a = container_of(timer, struct control_api, sweep);

    (void)events;
    for (struct list *i = a->requests.next; i != &a->requests; i = i->next) {
        struct request *r = container_of(i, struct request, link);
        if (r->route != NULL && !r->finished && !r->route->for_ever &&
            r->waiting > 0 && ev_now(loop) - r->progress > PATIENCE)
            give_up(r);
    }
}

struct control_api *
control_api_new(struct ev_loop *loop, unsigned slot_count)
{
    struct control_api *a = xcalloc(1, sizeof *a);

    a->loop = loop;
    a->slot_count = slot_count;
    a->tally = tally_new(slot_count);
    list_init(&a->requests);
    ev_timer_init(&a->sweep, on_sweep, SWEEP, SWEEP);
    ev_timer_start(loop, &a->sweep);
    return a;
}

void
control_api_use(struct control_api *a, struct control_links *links)
{
    a->links = links;
}

void
control_api_free(struct control_api *a)
{
    require(list_is_empty(&a->requests));
    ev_timer_stop(a->loop, &a->sweep);
    tally_free(a->tally);
    free(a);
}
