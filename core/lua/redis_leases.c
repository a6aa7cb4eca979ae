#include "lua/redis_leases.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "lua/redis_link.h"

#include <stdio.h>
#include <stdlib.h>

#define RENEW_SECONDS   2.
#define LIVES           "8000"     /* milliseconds, of a holder */
#define KEPT            "86400000" /* of a hash that nobody touches */
#define RESTATE_SECONDS 21600.     /* so that the hashes are touched */
#define BATCH_MAX       200        /* questions in one run */
#define HOLDER_SIZE     16

/* ARGV: the holder, how long it lives, "1" if it begins, then verb, key and
 * limit of each question.  -1: there is no such holder. */
static const char SCRIPT[] =
    "local prefix, me, lives, begins = KEYS[1], ARGV[1], ARGV[2], ARGV[3]\n"
    "local mine = prefix .. 'holder:' .. me\n"
    "if begins == '1' then redis.call('SET', mine, 1, 'PX', lives)\n"
    "elseif redis.call('PEXPIRE', mine, lives) == 0 then return -1 end\n"
    "local seen, answers = {}, {}\n"
    "local function alive(holder)\n"
    "  if seen[holder] == nil then\n"
    "    seen[holder] = redis.call('EXISTS', prefix .. 'holder:' .. holder)\n"
    "  end\n"
    "  return seen[holder] == 1\n"
    "end\n"
    "local function held(key)\n"
    "  local sum, all = 0, redis.call('HGETALL', key)\n"
    "  for i = 1, #all, 2 do\n"
    "    if alive(all[i]) then sum = sum + all[i + 1]\n"
    "    else redis.call('HDEL', key, all[i]) end\n"
    "  end\n"
    "  return sum\n"
    "end\n"
    "local function add(key, by)\n"
    "  local left = redis.call('HINCRBY', key, me, by)\n"
    "  if left <= 0 then redis.call('HDEL', key, me)\n"
    "  else redis.call('PEXPIRE', key, " KEPT ") end\n"
    "  return 1\n"
    "end\n"
    "for i = 4, #ARGV, 3 do\n"
    "  local verb, limit = ARGV[i], tonumber(ARGV[i + 2])\n"
    "  local key, answer = prefix .. 'held:' .. ARGV[i + 1], 0\n"
    "  if verb == 'count' then answer = held(key)\n"
    "  elseif verb == 'give' then answer = add(key, -1)\n"
    "  elseif verb == 'forget' then\n"
    "    redis.call('DEL', prefix .. 'holder:' .. ARGV[i + 1])\n"
    "    seen = {}\n"
    "  elseif limit < 0 or held(key) < limit then answer = add(key, 1) end\n"
    "  answers[#answers + 1] = answer\n"
    "end\n"
    "return answers\n";

struct redis_leases {
    struct list link;    /* in lasting->redis_leases */
    unsigned references; /* of Lua, leases, the exchange */
    struct redis_group *group;
    char *prefix;
    char holder[2 * HOLDER_SIZE + 1]; /* "": not yet one */
    bool begins;                      /* Redis has not heard of it */
    bool counted;  /* Redis has all that is held, or what is queued says it */
    bool overload; /* an exchange could not be started */
    ev_tstamp began;
    struct list held;  /* of redis_lease */
    struct list queue; /* of redis_lease_ask */
    struct list asked; /* of the same, which the exchange is about */
    size_t asked_count;
    struct redis_exchange *exchange;
    ev_timer timer;
};

struct redis_lease {
    struct lease lease; /* its table is the redis_leases */
    struct list link;   /* in held */
    struct redis_leases *all;
};

struct redis_lease_ask {
    struct list link;
    struct redis_leases *all; /* which lives as long as its queue has any */
    enum redis_lease_verb verb;
    long long limit, number;
    bool sent, answered;
    bool again;          /* it has been asked under another name already */
    redis_lease_fn done; /* NULL: nobody waits */
    void *arg;
    size_t key_len;
    char key[];
};

static struct redis_lease_ask *
ask_of(struct list *link)
{
    return container_of(link, struct redis_lease_ask, link);
}

static struct slice
key_of(const struct redis_lease_ask *a)
{
    return (struct slice){a->key, a->key_len};
}

static struct list *
take_first(struct list *from)
{
    struct list *first = from->next;

    from->next = first->next;
    from->next->prev = from;
    list_init(first);
    return first;
}

/* Moves what is in `from` behind what is in `to`. */
static void
move_all(struct list *to, struct list *from)
{
    while (!list_is_empty(from))
        list_append(to, take_first(from));
}

/* --- questions --- */

static struct redis_lease_ask *
ask_new(struct redis_leases *all, const struct redis_lease_question *q)
{
    struct redis_lease_ask *a = xcalloc(1, sizeof *a + q->key.len);

    a->all = all;
    a->verb = q->verb;
    a->limit = q->limit;
    a->key_len = q->key.len;
    memcpy(a->key, q->key.ptr, q->key.len);
    return a;
}

static void
ask_free(struct redis_lease_ask *a)
{
    list_remove(&a->link);
    free(a);
}

/* What nobody waits for, without an answer, is of no use any more: what is
 * held is said anew. */
static void
drop_internal(struct list *asks)
{
    struct list *next;

    for (struct list *l = asks->next; l != asks; l = next) {
        next = l->next;
        if (ask_of(l)->done == NULL)
            ask_free(ask_of(l));
    }
}

static void
tell(struct redis_lease_ask *a, const struct redis_lease_answer *answer)
{
    redis_lease_fn done = a->done;
    void *arg = a->arg;

    if (done != NULL)
        done(arg, answer);
    else if (a->verb == REDIS_LEASE_TAKE && a->limit >= 0 &&
             answer->number == 1)
        redis_leases_give(a->all, key_of(a));
}

/* Each may take others of `asks` away. */
static void
tell_all(struct list *asks, struct redis_lease_answer answer)
{
    while (!list_is_empty(asks)) {
        struct redis_lease_ask *a = ask_of(take_first(asks));
        if (!answer.failed)
            answer.number = a->number;
        a->answered = false; /* what it has got is the waiter's */
        tell(a, &answer);
        ask_free(a);
    }
}

/* Nobody knows what Redis has counted. */
static void
lose(struct redis_leases *all, enum failure kind, const char *text)
{
    struct list lost;

    list_init(&lost);
    all->counted = false;
    move_all(&lost, &all->asked);
    move_all(&lost, &all->queue);
    for (struct list *l = lost.next; l != &lost; l = l->next)
        ask_of(l)->sent = false;
    drop_internal(&lost);
    tell_all(&lost, (struct redis_lease_answer){true, kind, text, 0});
}

/* --- holders --- */

static void
set_holder(struct redis_leases *all)
{
    unsigned char bytes[HOLDER_SIZE];

    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(all->holder + 2 * i, 3, "%02x", bytes[i]);
}

/* Becomes another holder, who says what is held before anything else; then the
 * one before is forgotten. */
static void
begin(struct redis_leases *all)
{
    struct list first;
    struct redis_lease_question q = {REDIS_LEASE_TAKE, .limit = -1};
    char before[sizeof all->holder];

    list_init(&first);
    memcpy(before, all->holder, sizeof before);
    set_holder(all);
    drop_internal(&all->queue);
    for (struct list *l = all->held.next; l != &all->held; l = l->next) {
        q.key = lease_key(&container_of(l, struct redis_lease, link)->lease);
        list_append(&first, &ask_new(all, &q)->link);
    }
    if (*before != '\0') {
        q = (struct redis_lease_question){REDIS_LEASE_FORGET, slice_of(before),
                                          0};
        list_append(&first, &ask_new(all, &q)->link);
    }
    move_all(&first, &all->queue);
    move_all(&all->queue, &first);
    all->begins = all->counted = true;
    all->began = ev_now(all->group->pool->loop);
}

/* --- asking --- */

static const char *
verb_name(enum redis_lease_verb verb)
{
    static const char *const names[] = {
        [REDIS_LEASE_TAKE] = "take",
        [REDIS_LEASE_COUNT] = "count",
        [REDIS_LEASE_GIVE] = "give",
        [REDIS_LEASE_FORGET] = "forget",
    };
    return names[verb];
}

#define HEAD_WORDS \
    7 /* EVAL, script, count of keys, key, holder, life, begins */

struct words {
    struct slice all[HEAD_WORDS + 3 * BATCH_MAX];
    size_t count;
    char numbers[BATCH_MAX][24];
};

static void
put_word(struct words *w, struct slice word)
{
    w->all[w->count++] = word;
}

/* The first questions of the queue become words. */
static void
take_batch(struct redis_leases *all, struct words *w)
{
    all->asked_count = 0;
    while (!list_is_empty(&all->queue) && all->asked_count < BATCH_MAX) {
        struct redis_lease_ask *a = ask_of(take_first(&all->queue));
        char *limit = w->numbers[all->asked_count++];
        list_append(&all->asked, &a->link);
        a->sent = true;
        (void)snprintf(limit, sizeof w->numbers[0], "%lld", a->limit);
        put_word(w, slice_of(verb_name(a->verb)));
        put_word(w, key_of(a));
        put_word(w, slice_of(limit));
    }
}

/* By the script's digest; the whole of it if Redis does not know that. */
static void
write_question(struct redis_question *q, struct words *w)
{
    char hex[40];

    buf_init(&q->commands, REDIS_REQUEST_MAX);
    buf_init(&q->fallback, REDIS_REQUEST_MAX);
    q->count = 1;
    w->all[0] = S("EVAL");
    w->all[1] = slice_of(SCRIPT);
    bool known = digest_sha1(slice_of(SCRIPT), hex);
    bool ok = redis_put_command(known ? &q->fallback : &q->commands, w->all,
                                w->count);
    if (known) {
        w->all[0] = S("EVALSHA");
        w->all[1] = (struct slice){hex, sizeof hex};
        ok = ok && redis_put_command(&q->commands, w->all, w->count);
    }
    require(ok); /* keys are bounded, and how many there are */
}

static void go_on(struct redis_leases *all, bool renew);
static void on_outcome(void *arg, const struct redis_outcome *o);

static void
set_timer(struct redis_leases *all, double seconds)
{
    struct ev_loop *loop = all->group->pool->loop;

    ev_timer_stop(loop, &all->timer);
    ev_timer_set(&all->timer, seconds, RENEW_SECONDS);
    ev_timer_start(loop, &all->timer);
}

static void
send_batch(struct redis_leases *all)
{
    struct words *w = xcalloc(1, sizeof *w);
    struct redis_question q = {.leaves_state = false};

    w->count = 2; /* command and script */
    put_word(w, S("1"));
    put_word(w, slice_of(all->prefix));
    put_word(w, slice_of(all->holder));
    put_word(w, S(LIVES));
    put_word(w, all->begins ? S("1") : S("0"));
    take_batch(all, w);
    write_question(&q, w);
    free(w);
    all->begins = false;
    all->exchange = redis_exchange_start(all->group, &q, all->group->timeout,
                                         on_outcome, all);
    all->overload = all->exchange == NULL;
    if (!all->overload)
        all->references++;
    /* It is told from the loop that too many wait for a connection. */
    if (all->overload || !ev_is_active(&all->timer))
        set_timer(all, all->overload ? 0. : RENEW_SECONDS);
}

static void
go_on(struct redis_leases *all, bool renew)
{
    if (all->exchange != NULL || all->overload ||
        (list_is_empty(&all->queue) && !renew))
        return;
    if (!all->counted)
        begin(all);
    send_batch(all);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    struct redis_leases *all = container_of(w, struct redis_leases, timer);

    (void)events;
    all->references++;
    if (all->overload) {
        all->overload = false;
        lose(all, FAILURE_OVERLOAD, "too many wait for a connection");
    } else if (list_is_empty(&all->held) && list_is_empty(&all->queue) &&
               all->exchange == NULL) {
        ev_timer_stop(loop, w); /* the holder may go */
        all->counted = false;
    } else {
        all->counted =
            all->counted && ev_now(loop) < all->began + RESTATE_SECONDS;
        go_on(all, true);
    }
    redis_leases_unref(all);
}

/* --- answers --- */

/* Redis has lost the holder: what was asked is asked again, once. */
static void
ask_again(struct redis_leases *all)
{
    struct list failed, first, *next;

    list_init(&failed);
    list_init(&first);
    all->counted = false;
    drop_internal(&all->asked);
    for (struct list *l = all->asked.next; l != &all->asked; l = next) {
        struct redis_lease_ask *a = ask_of(l);
        next = l->next;
        list_remove(l);
        list_append(a->again ? &failed : &first, l);
        a->sent = false;
        a->again = true;
    }
    move_all(&first, &all->queue);
    move_all(&all->queue, &first);
    tell_all(&failed, (struct redis_lease_answer){true, FAILURE_SERVER,
                                                  "it forgets who holds", 0});
}

static bool
is_answer(const struct redis_leases *all, const struct redis_reply *r)
{
    if (r->kind != REDIS_LIST || r->count != all->asked_count)
        return false;
    for (size_t i = 0; i < r->count; i++) {
        if (r->elements[i]->kind != REDIS_INTEGER)
            return false;
    }
    return true;
}

static void
take_answers(struct redis_leases *all, const struct redis_reply *r)
{
    struct list answered;
    size_t i = 0;

    list_init(&answered);
    move_all(&answered, &all->asked);
    for (struct list *l = answered.next; l != &answered; l = l->next) {
        struct redis_lease_ask *a = ask_of(l);
        a->sent = false;
        a->answered = true;
        a->number = r->elements[i++]->integer;
    }
    tell_all(&answered, (struct redis_lease_answer){0});
}

static void
on_outcome(void *arg, const struct redis_outcome *o)
{
    struct redis_leases *all = arg;
    char shown[256];

    all->exchange = NULL;
    const struct redis_reply *r = o->replies != NULL ? o->replies[0] : NULL;
    if (r == NULL) {
        lose(all, o->kind, o->text);
    } else if (r->kind == REDIS_ERROR) {
        (void)log_escape(r->text, shown, sizeof shown);
        redis_pool_log_failure(all->group->pool, shown);
        lose(all, FAILURE_SERVER, shown);
    } else if (r->kind == REDIS_INTEGER) {
        ask_again(all);
    } else if (is_answer(all, r)) {
        take_answers(all, r);
    } else {
        lose(all, FAILURE_PROTOCOL, "its answer makes no sense");
    }
    go_on(all, false);
    redis_leases_unref(all);
}

/* --- what others call --- */

struct redis_lease_ask *
redis_leases_ask(struct redis_leases *all,
                 const struct redis_lease_question *question,
                 redis_lease_fn done, void *arg)
{
    struct redis_lease_ask *a = ask_new(all, question);

    a->done = done;
    a->arg = arg;
    list_append(&all->queue, &a->link);
    go_on(all, false);
    return a;
}

void
redis_lease_ask_cancel(struct redis_lease_ask *a)
{
    if (a->sent) {
        a->done = NULL;
        return;
    }
    if (a->answered && a->verb == REDIS_LEASE_TAKE && a->number == 1)
        redis_leases_give(a->all, key_of(a));
    ask_free(a);
}

void
redis_leases_give(struct redis_leases *all, struct slice key)
{
    struct redis_lease_question q = {REDIS_LEASE_GIVE, key, 0};

    if (all->counted) /* else all that is held is said anew, without it */
        (void)redis_leases_ask(all, &q, NULL, NULL);
}

static void
end(struct lease *lease)
{
    struct redis_lease *l = container_of(lease, struct redis_lease, lease);
    struct redis_leases *all = l->all;

    list_remove(&l->link);
    redis_leases_give(all, lease_key(lease));
    lease_deinit(lease);
    free(l);
    redis_leases_unref(all);
}

void
redis_leases_hold(struct redis_leases *all, struct session *s, struct slice key)
{
    struct redis_lease *l = xcalloc(1, sizeof *l);

    l->all = all;
    all->references++;
    lease_init(&l->lease, all, key, end);
    list_append(&all->held, &l->link);
    lease_hold(s, &l->lease);
}

const char *
redis_leases_server(const struct redis_leases *all)
{
    return all->group->pool->server.name;
}

static struct redis_leases *
find(struct list *known, const struct redis_pool *pool, struct slice prefix)
{
    for (struct list *l = known->next; l != known; l = l->next) {
        struct redis_leases *all = container_of(l, struct redis_leases, link);
        if (all->group->pool == pool &&
            slice_equal(slice_of(all->prefix), prefix))
            return all;
    }
    return NULL;
}

struct redis_leases *
redis_leases_get(struct lasting *l, struct redis_group *g, struct slice prefix)
{
    struct redis_leases *all = find(&l->redis_leases, g->pool, prefix);

    (void)redis_group_ref(g);
    if (all != NULL) {
        redis_group_unref(all->group);
        all->group = g;
        all->references++;
        return all;
    }
    all = xcalloc(1, sizeof *all);
    all->references = 1;
    all->group = g;
    all->prefix = xstrndup(prefix.ptr, prefix.len);
    list_init(&all->held);
    list_init(&all->queue);
    list_init(&all->asked);
    ev_timer_init(&all->timer, on_timer, 0., 0.);
    list_append(&l->redis_leases, &all->link);
    return all;
}

static void
leases_free(struct redis_leases *all)
{
    list_remove(&all->link);
    ev_timer_stop(all->group->pool->loop, &all->timer);
    redis_group_unref(all->group);
    free(all->prefix);
    free(all);
}

/* What is still to be told to Redis keeps it. */
void
redis_leases_unref(struct redis_leases *all)
{
    if (all != NULL && --all->references == 0 && list_is_empty(&all->queue))
        leases_free(all);
}

/* Nobody is left who waits for an answer. */
static void
end_all(struct redis_leases *all)
{
    if (all->exchange != NULL) {
        redis_exchange_cancel(all->exchange);
        all->references--;
    }
    drop_internal(&all->asked);
    drop_internal(&all->queue);
    require(all->references == 0);
    leases_free(all);
}

void
redis_leases_free_all(struct lasting *l)
{
    struct list *next;

    for (struct list *at = l->redis_leases.next; at != &l->redis_leases;
         at = next) {
        next = at->next;
        end_all(container_of(at, struct redis_leases, link));
    }
}
