#include "lua/redis_link.h"

#include "base/log.h"
#include "base/slice.h"
#include "net/dial.h"
#include "net/stand_in.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

/* What the answer that comes next is to. */
enum greeting { GREETING_AUTH, GREETING_SELECT, GREETING_ROLE, GREETING_WHO };

struct redis_link {
    struct redis_group *group; /* borrowed */
    struct dial *dial;
    struct redis_conn *conn;
    ev_timer timer; /* of this attempt */
    ev_tstamp ends;
    struct redis_place place; /* being connected to */
    bool looking;             /* for the master, at a Sentinel */
    bool located;             /* a Sentinel was asked just now */
    size_t asked;             /* Sentinels */
    enum greeting greetings[4];
    size_t greeting_count, greeted;
    redis_linked_fn done;
    void *arg;
};

static void look(struct redis_link *l);

static struct redis_server *
server_of(const struct redis_link *l)
{
    return &l->group->pool->server;
}

static void
let_go(struct redis_link *l)
{
    ev_timer_stop(l->group->pool->loop, &l->timer);
    dial_cancel(l->dial);
    l->dial = NULL;
    redis_conn_close(l->conn);
    l->conn = NULL;
}

static void
finish(struct redis_link *l, struct redis_conn *conn, enum failure kind,
       const char *text)
{
    l->conn = NULL;
    let_go(l);
    if (conn == NULL)
        redis_pool_log_failure(l->group->pool, text);
    else
        l->group->pool->failed_until = 0;
    l->done(l->arg, conn, kind, text);
    free(l);
}

/* Some other Sentinel, or a Sentinel after the master, may do better. */
static void
fail(struct redis_link *l, enum failure kind, const char *problem)
{
    struct redis_pool *p = l->group->pool;
    bool late = ev_now(p->loop) >= l->ends;
    char text[512];

    (void)snprintf(text, sizeof text, "%s%s",
                   l->looking ? "asking a Sentinel: " : "", problem);
    let_go(l);
    if (!l->looking)
        redis_pool_forget_master(p);
    bool again = l->looking ? l->asked < p->server.sentinel_count
                            : p->server.sentinel_count > 0 && !l->located;
    if (late || !again) {
        finish(l, NULL, kind, text);
        return;
    }
    if (!l->looking)
        l->asked = 0;
    look(l);
}

static void
on_lost(void *arg, enum failure kind, const char *text)
{
    fail(arg, kind, text);
}

/* The server does not want us; no other attempt mends that.  Of AUTH only the
 * first word of the answer is told: the rest may repeat what was sent. */
static bool
refused(struct redis_link *l, const char *what, struct slice why)
{
    char text[512], shown[256];

    if (strcmp(what, "AUTH") == 0)
        why = slice_cut(&why, ' ');
    (void)log_escape(why, shown, sizeof shown);
    (void)snprintf(text, sizeof text, "%s refused: %s", what, shown);
    if (l->looking)
        fail(l, FAILURE_SERVER, text);
    else {
        redis_conn_close(l->conn);
        finish(l, NULL, FAILURE_SERVER, text);
    }
    return false;
}

static bool connect_master(struct redis_link *l);

/* [host, port], or nil. */
static bool
learn_master(struct redis_link *l, const struct redis_reply *r)
{
    struct redis_pool *p = l->group->pool;
    size_t port;

    if (r->kind != REDIS_LIST || r->count != 2) {
        fail(l, FAILURE_CONNECT, "it does not know this master");
        return false;
    }
    struct slice host = r->elements[0]->text;
    port = slice_to_size(r->elements[1]->text);
    if (host.len == 0 || host.len >= sizeof p->master.host || port == 0 ||
        port > 65535) {
        fail(l, FAILURE_PROTOCOL, "what it says is no address");
        return false;
    }
    p->master = (struct redis_place){.port = (uint16_t)port};
    memcpy(p->master.host, host.ptr, host.len);
    p->sentinel = (p->sentinel + l->asked - 1) % p->server.sentinel_count;
    l->located = true;
    l->looking = false;
    let_go(l);
    return connect_master(l);
}

static bool
is_master(const struct redis_reply *r)
{
    return r->kind == REDIS_LIST && r->count > 0 &&
           slice_equal(r->elements[0]->text, S("master"));
}

/* One answer of the greeting; false: the connection is not ours any more. */
static bool
greeted(struct redis_link *l, enum greeting greeting,
        const struct redis_reply *r)
{
    struct redis_conn *conn = l->conn;

    if (r->kind == REDIS_ERROR)
        return refused(l,
                       greeting == GREETING_AUTH     ? "AUTH"
                       : greeting == GREETING_SELECT ? "SELECT"
                                                     : "the connection is",
                       r->text);
    if (greeting == GREETING_WHO)
        return learn_master(l, r);
    if (greeting == GREETING_ROLE && !is_master(r)) {
        fail(l, FAILURE_CONNECT, "it is not the master");
        return false;
    }
    if (++l->greeted < l->greeting_count)
        return true;
    if (redis_reader_is_empty(conn->reader))
        finish(l, conn, FAILURE_CLOSED, "");
    else
        fail(l, FAILURE_PROTOCOL, "it says what nobody asked for");
    return false;
}

static bool
on_reply(void *arg, struct redis_reply *reply)
{
    struct redis_link *l = arg;
    bool ours = greeted(l, l->greetings[l->greeted], reply);

    redis_reply_free(reply);
    return ours;
}

bool
redis_put_command(struct buf *out, const struct slice *words, size_t count)
{
    const char **texts = xcalloc(count, sizeof *texts);
    size_t *lengths = xcalloc(count, sizeof *lengths);
    char *command = NULL;

    for (size_t i = 0; i < count; i++) {
        texts[i] = words[i].len > 0 ? words[i].ptr : "";
        lengths[i] = words[i].len;
    }
    int len = redisFormatCommandArgv(&command, (int)count, texts, lengths);
    free(texts);
    free(lengths);
    require(len > 0);
    bool ok = buf_append(out, (struct slice){command, (size_t)len});
    explicit_bzero(command, (size_t)len);
    redisFreeCommand(command);
    return ok;
}

static void
greet_by(struct redis_link *l, enum greeting greeting,
         const struct slice *words, size_t count)
{
    bool ok = redis_put_command(&l->conn->out, words, count);

    require(ok); /* all of it is bounded */
    l->greetings[l->greeting_count++] = greeting;
}

static void
put_auth(struct redis_link *l, const struct redis_login *login)
{
    struct slice words[3] = {S("AUTH")};
    size_t count = 1;

    if (buf_is_empty(&login->password))
        return;
    if (!buf_is_empty(&login->user))
        words[count++] = buf_bytes(&login->user);
    words[count++] = buf_bytes(&login->password);
    greet_by(l, GREETING_AUTH, words, count);
}

static void
put_greeting(struct redis_link *l)
{
    const struct redis_server *s = server_of(l);
    bool real = stand_in_of(l->group->pool->loop) == NULL;
    char number[16];

    l->greeting_count = l->greeted = 0;
    if (l->looking) {
        struct slice words[] = {S("SENTINEL"), S("get-master-addr-by-name"),
                                slice_of(s->master)};
        put_auth(l, &s->sentinel_login);
        greet_by(l, GREETING_WHO, words, 3);
        return;
    }
    put_auth(l, &s->login);
    if (s->database != 0) {
        (void)snprintf(number, sizeof number, "%u", s->database);
        struct slice words[] = {S("SELECT"), slice_of(number)};
        greet_by(l, GREETING_SELECT, words, 2);
    }
    if (s->sentinel_count > 0 && real) {
        struct slice words[] = {S("ROLE")};
        greet_by(l, GREETING_ROLE, words, 1);
    }
}

static bool
start_tls(struct redis_link *l)
{
    if (!server_of(l)->tls || stand_in_of(l->group->pool->loop) != NULL)
        return true;
    l->conn->shaking = true;
    return auth_tls_start(&l->group->tls, l->place.host, l->place.port,
                          &l->conn->stream);
}

static void
on_dialed(void *arg, enum dial_status status, struct stream *stream,
          const struct addr *addr, const char *text)
{
    struct redis_link *l = arg;

    (void)addr;
    l->dial = NULL;
    if (status != DIAL_OK) {
        fail(l,
             status == DIAL_TIMEOUT ? FAILURE_TIMEOUT
             : status == DIAL_DNS   ? FAILURE_DNS
                                    : FAILURE_CONNECT,
             text);
        return;
    }
    l->conn = redis_conn_new(l->group->pool->loop, *stream);
    redis_conn_use(l->conn, on_reply, on_lost, l);
    if (!start_tls(l)) {
        fail(l, FAILURE_TLS, "TLS could not be started");
        return;
    }
    put_greeting(l);
    if (l->greeting_count > 0)
        redis_conn_flush(l->conn);
    else
        finish(l, l->conn, FAILURE_CLOSED, "");
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop;
    (void)events;
    fail(container_of(w, struct redis_link, timer), FAILURE_TIMEOUT,
         "timed out");
}

static void
start_dial(struct redis_link *l, double seconds)
{
    struct redis_pool *p = l->group->pool;
    char what[600];

    if (seconds < 0.001)
        seconds = 0.001;
    (void)snprintf(what, sizeof what, "redis %s", p->server.name);
    struct dial_request request = {.host = l->place.host,
                                   .port = l->place.port,
                                   .timeout = seconds,
                                   .what = what};
    l->timer.repeat = seconds;
    ev_timer_again(p->loop, &l->timer);
    l->dial = dial_start(p->loop, p->dns, &request, on_dialed, l);
}

static double
time_left(const struct redis_link *l)
{
    return l->ends - ev_now(l->group->pool->loop);
}

static bool
connect_master(struct redis_link *l)
{
    l->place = l->group->pool->master;
    start_dial(l, time_left(l));
    return false;
}

/* Asks the next Sentinel, for its share of the time. */
static void
look(struct redis_link *l)
{
    struct redis_pool *p = l->group->pool;
    size_t count = p->server.sentinel_count;
    double share = time_left(l) / (double)(count - l->asked + 1);

    l->looking = true;
    l->place = p->server.sentinels[(p->sentinel + l->asked) % count];
    l->asked++;
    start_dial(l, share);
}

struct redis_link *
redis_link_start(struct redis_group *g, double seconds, redis_linked_fn done,
                 void *arg)
{
    struct redis_link *l = xcalloc(1, sizeof *l);
    const struct redis_pool *p = g->pool;

    l->group = g;
    l->done = done;
    l->arg = arg;
    l->ends = ev_now(p->loop) + seconds;
    l->place = p->server.place;
    ev_init(&l->timer, on_timeout);
    if (p->server.sentinel_count == 0 || stand_in_of(p->loop) != NULL)
        start_dial(l, seconds);
    else if (*p->master.host != '\0')
        (void)connect_master(l);
    else
        look(l);
    return l;
}

void
redis_link_cancel(struct redis_link *l)
{
    if (l == NULL)
        return;
    let_go(l);
    free(l);
}
