#include "process/control_words.h"

#include "base/slice.h"
#include "lua/memo.h"
#include "proto/dialog.h"

#define TEXT_MAX  1024 /* of one field of a row */
#define SLOTS_MAX 1024

void
control_setup_put(const struct control_setup *setup, struct message *m)
{
    message_init(m, MESSAGE_CONTROL_SETUP);
    message_put_u64(m, setup->identity.change);
    message_put_u64(m, setup->identity.uid);
    message_put_u64(m, setup->identity.gid);
    message_put_u64(m, setup->log_level);
    message_put_u64(m, setup->log_format);
    message_put_u64(m, setup->slot_count);
    m->fds[0] = setup->socket;
    log_target_put(&setup->log, m, 1);
}

bool
control_setup_get(struct control_setup *setup, struct message *m)
{
    if (m->type != MESSAGE_CONTROL_SETUP)
        return false;
    setup->identity.change = message_get_u64(m) != 0;
    setup->identity.uid = (uid_t)message_get_u64(m);
    setup->identity.gid = (gid_t)message_get_u64(m);
    uint64_t level = message_get_u64(m), format = message_get_u64(m);
    uint64_t slots = message_get_u64(m);
    if (!log_target_get(&setup->log, m, 1))
        return false;
    if (!message_is_whole(m) || level > LOG_DEBUG || format > LOG_JSON ||
        slots > SLOTS_MAX)
        return false;
    setup->log_level = (enum log_level)level;
    setup->log_format = (enum log_format)format;
    setup->slot_count = (unsigned)slots;
    setup->socket = message_take_fd(m, 0);
    return true;
}

void
report_put(const struct report *r, struct message *m)
{
    message_init(m, MESSAGE_REPORT);
    message_put_u64(m, r->order);
    message_put_u64(m, r->last);
    message_put_u64(m, r->ok);
    message_put_text(m, r->text);
}

bool
report_get(struct report *r, struct message *m)
{
    r->order = message_get_u64(m);
    r->last = message_get_u64(m) != 0;
    r->ok = message_get_u64(m) != 0;
    r->text = message_get_text(m);
    return message_is_whole(m);
}

void
order_put(const struct order *o, struct message *m)
{
    message_init(m, MESSAGE_ORDER);
    message_put_u64(m, o->id);
    message_put_u64(m, o->kind);
    message_put_u64(m, o->a);
    message_put_u64(m, o->b);
}

bool
order_get(struct order *o, struct message *m)
{
    o->id = message_get_u64(m);
    uint64_t kind = message_get_u64(m), a = message_get_u64(m);
    uint64_t b = message_get_u64(m);
    if (!message_is_whole(m) || kind >= ORDER_COUNT || a > UINT32_MAX ||
        b > UINT32_MAX)
        return false;
    o->kind = (enum order_kind)kind;
    o->a = (unsigned)a;
    o->b = (unsigned)b;
    return true;
}

void
purge_put(const struct purge *p, struct message *m)
{
    message_put_text(m, p->name);
    message_put_u64(m, p->key.ptr != NULL);
    message_put_text(m, p->key);
}

bool
purge_get(struct purge *p, struct message *m)
{
    p->name = message_get_text(m);
    bool has_key = message_get_u64(m) != 0;
    p->key = message_get_text(m);
    if (!has_key && p->key.len > 0)
        return false;
    if (!has_key)
        p->key.ptr = NULL;
    return !m->bad && p->name.len <= MEMO_NAME_MAX &&
           p->key.len <= MEMO_PURGE_MAX;
}

void
session_question_put(const struct session_question *q, struct message *m)
{
    message_init(m, MESSAGE_ASK);
    message_put_u64(m, q->slot);
    message_put_u64(m, q->id);
    message_put_u64(m, q->kicks);
    message_put_text(m, q->reason);
    message_put_text(m, q->except);
    session_filter_put(&q->filter, m);
}

bool
session_question_get(struct session_question *q, struct message *m)
{
    uint64_t slot = message_get_u64(m);

    q->id = message_get_u64(m);
    q->kicks = message_get_u64(m) != 0;
    q->reason = message_get_text(m);
    q->except = message_get_text(m);
    q->slot = slot <= UINT32_MAX ? (unsigned)slot : 0;
    return session_filter_get(&q->filter, m) && message_is_whole(m) &&
           q->slot != 0 && q->reason.len <= REASON_MAX &&
           !has_control(q->reason) &&
           q->except.len < sizeof q->filter.session &&
           (!q->kicks || session_filter_is_narrow(&q->filter));
}

void
session_answer_put(const struct session_answer *a, struct message *m)
{
    message_init(m, MESSAGE_ANSWER);
    message_put_u64(m, a->slot);
    message_put_u64(m, a->id);
    message_put_u64(m, a->workers);
    message_put_u64(m, a->count);
}

bool
session_answer_get(struct session_answer *a, struct message *m)
{
    uint64_t slot = message_get_u64(m);

    a->slot = slot <= UINT32_MAX ? (unsigned)slot : 0;
    a->id = message_get_u64(m);
    a->workers = message_get_u64(m);
    a->count = message_get_u64(m);
    return message_is_whole(m) && a->slot != 0;
}

void
question_put(const struct question *a, struct message *m)
{
    message_init(m, MESSAGE_QUESTION);
    message_put_u64(m, a->id);
    message_put_u64(m, a->kind);
    message_put_u64(m, a->credit);
    message_put_text(m, a->reason);
    purge_put(&a->purge, m);
    session_filter_put(&a->filter, m);
}

bool
question_get(struct question *a, struct message *m)
{
    a->id = message_get_u64(m);
    uint64_t kind = message_get_u64(m);
    a->credit = message_get_u64(m);
    a->reason = message_get_text(m);
    if (!purge_get(&a->purge, m) || !session_filter_get(&a->filter, m) ||
        !message_is_whole(m) || kind >= QUESTION_COUNT ||
        a->credit > CREDIT_MAX || a->reason.len > REASON_MAX ||
        has_control(a->reason))
        return false;
    a->kind = (enum question_kind)kind;
    return true;
}

static void
put_short(struct message *m, struct slice text)
{
    message_put_text(m, slice_take(text, TEXT_MAX));
}

/* What was put since `before` stays if all of it fitted. */
static bool
keep(struct message *m, size_t before)
{
    if (!m->bad)
        return true;
    m->bad = false;
    m->len = before;
    return false;
}

bool
session_row_put(const struct session_row *row, struct message *m)
{
    size_t before = m->len;

    put_short(m, row->id);
    put_short(m, row->client);
    put_short(m, row->listener);
    put_short(m, row->protocol);
    put_short(m, row->user);
    put_short(m, row->upstream);
    put_short(m, row->pool);
    put_short(m, row->phase);
    put_short(m, row->tls);
    message_put_double(m, row->seconds);
    message_put_u64(m, row->in);
    message_put_u64(m, row->out);
    message_put_u64(m, row->generation);
    return keep(m, before);
}

void
session_row_get(struct session_row *row, struct message *m)
{
    row->id = message_get_text(m);
    row->client = message_get_text(m);
    row->listener = message_get_text(m);
    row->protocol = message_get_text(m);
    row->user = message_get_text(m);
    row->upstream = message_get_text(m);
    row->pool = message_get_text(m);
    row->phase = message_get_text(m);
    row->tls = message_get_text(m);
    row->seconds = message_get_double(m);
    row->in = message_get_u64(m);
    row->out = message_get_u64(m);
    row->generation = message_get_u64(m);
}

bool
counter_row_put(const struct counter_row *row, struct message *m)
{
    size_t before = m->len;

    put_short(m, row->name);
    message_put_double(m, row->value);
    message_put_u64(m, row->is_gauge);
    message_put_u64(m, row->is_of_policy);
    return keep(m, before);
}

void
counter_row_get(struct counter_row *row, struct message *m)
{
    row->name = message_get_text(m);
    row->value = message_get_double(m);
    row->is_gauge = message_get_u64(m) != 0;
    row->is_of_policy = message_get_u64(m) != 0;
}

void
worker_state_put(const struct worker_state *s, struct message *m)
{
    message_put_u64(m, s->generation);
    message_put_u64(m, s->sessions);
}

void
worker_state_get(struct worker_state *s, struct message *m)
{
    s->generation = message_get_u64(m);
    s->sessions = message_get_u64(m);
}

void
event_put(const struct event *e, struct message *m)
{
    message_put_u64(m, e->lost);
    message_put_text(m, e->text);
}

void
event_get(struct event *e, struct message *m)
{
    e->lost = message_get_u64(m);
    e->text = message_get_text(m);
}
