/* fuzz_control_words.c -- what control and the others say to each other: the
 * first byte says as what the rest is read, or that it is a filter's text,
 * `name=value&name=value`. */
#include "base/check.h"
#include "base/slice.h"
#include "process/control_words.h"
#include "process/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct message m, again;

static void
same_filter(const struct session_filter *a, const struct session_filter *b)
{
    require(strcmp(a->user, b->user) == 0);
    require(strcmp(a->session, b->session) == 0);
    require(strcmp(a->protocol, b->protocol) == 0);
    require(strcmp(a->listener, b->listener) == 0);
    require(strcmp(a->phase, b->phase) == 0);
    require(strcmp(a->ip, b->ip) == 0);
    require(a->network.bits == b->network.bits);
}

/* What was read is what is read of it when it is put again. */
static void
read_question(void)
{
    struct question q, copy;

    if (!question_get(&q, &m))
        return;
    require(q.kind < QUESTION_COUNT && q.reason.len <= REASON_MAX);
    question_put(&q, &again);
    again.at = 0;
    require(question_get(&copy, &again));
    require(copy.id == q.id && copy.kind == q.kind && copy.credit == q.credit);
    require(slice_equal(copy.reason, q.reason));
    require(slice_equal(copy.purge.name, q.purge.name));
    require(slice_equal(copy.purge.key, q.purge.key));
    require((copy.purge.key.ptr == NULL) == (q.purge.key.ptr == NULL));
    same_filter(&copy.filter, &q.filter);
}

static void
read_session_question(void)
{
    struct session_question q, copy;

    if (!session_question_get(&q, &m))
        return;
    session_question_put(&q, &again);
    again.at = 0;
    require(session_question_get(&copy, &again));
    require(copy.slot == q.slot && copy.id == q.id && copy.kicks == q.kicks);
    require(slice_equal(copy.reason, q.reason));
    require(slice_equal(copy.except, q.except));
    same_filter(&copy.filter, &q.filter);
}

static void
read_session_answer(void)
{
    struct session_answer a, copy;

    if (!session_answer_get(&a, &m))
        return;
    session_answer_put(&a, &again);
    again.at = 0;
    require(session_answer_get(&copy, &again));
    require(copy.slot == a.slot && copy.id == a.id &&
            copy.workers == a.workers && copy.count == a.count);
}

static void
read_order(void)
{
    struct order o, copy;

    if (!order_get(&o, &m))
        return;
    order_put(&o, &again);
    again.at = 0;
    require(order_get(&copy, &again));
    require(copy.id == o.id && copy.kind == o.kind && copy.a == o.a &&
            copy.b == o.b);
}

static void
read_report(void)
{
    struct report r;

    if (report_get(&r, &m))
        require(r.text.len <= m.len);
}

static void
read_rows(void)
{
    struct session_row row;

    message_init(&again, MESSAGE_SESSIONS);
    while (m.at < m.len) {
        session_row_get(&row, &m);
        if (m.bad)
            return;
        size_t before = again.len;
        if (!session_row_put(&row, &again))
            require(again.len == before && !again.bad);
    }
}

static void
read_counters(void)
{
    struct counter_row row;

    message_init(&again, MESSAGE_COUNTERS);
    while (m.at < m.len) {
        counter_row_get(&row, &m);
        if (m.bad)
            return;
        (void)counter_row_put(&row, &again);
        require(!again.bad);
        (void)metric_is_whole(row.name);
    }
}

static void
read_filter(struct slice text)
{
    struct session_filter f, copy;
    struct addr client = {.len = 0};
    struct session_facts facts = {.client = &client};
    struct error err;

    session_filter_init(&f);
    while (text.len > 0) {
        struct slice value = slice_cut(&text, '&');
        struct slice name = slice_cut(&value, '=');
        if (!session_filter_set(&f, name, value, &err))
            require(err.text[0] != '\0');
    }
    facts.user = slice_of(f.user);
    facts.id = slice_of(f.session);
    facts.protocol = slice_of(f.protocol);
    facts.listener = slice_of(f.listener);
    facts.phase = slice_of(f.phase);
    require(session_filter_matches(&f, &facts) || f.ip[0] != '\0');
    message_init(&again, MESSAGE_QUESTION);
    session_filter_put(&f, &again);
    require(session_filter_get(&copy, &again) && message_is_whole(&again));
    same_filter(&f, &copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(void) = {
        read_question,      read_order,    read_report,
        read_rows,          read_counters, read_session_question,
        read_session_answer};
    const size_t count = sizeof readers / sizeof readers[0];

    if (size < 1 || size - 1 > MESSAGE_MAX)
        return 0;
    size_t choice = data[0] % (count + 1);
    if (choice == count) {
        read_filter((struct slice){(const char *)data + 1, size - 1});
        return 0;
    }
    message_init(&m, MESSAGE_QUESTION);
    m.len = size - 1;
    memcpy(m.body, data + 1, size - 1);
    readers[choice]();
    return 0;
}
