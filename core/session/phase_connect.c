/* phase_connect.c -- a connection to the upstream of this login. */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "session/identity.h"
#include "session/record.h"
#include "session/sessions.h"
#include "session/side.h"

/* Nothing has to be sent before its greeting comes. */
static bool
speaks_first(const struct target *t)
{
    return t->tls != TLS_IMPLICIT && t->proxy_protocol == 0;
}

/* Facts of the dial; the step acts on them. */
static void
on_dialled(void *arg, enum dial_status status, struct stream *stream,
           const struct addr *addr, const char *text)
{
    struct session *s = arg;
    struct login_state *login = s->login;

    login->dial = NULL;
    login->dial_done = true;
    login->dial_status = status;
    if (status == DIAL_OK) {
        char name[ADDR_TEXT_MAX];
        session_upstream_open(s, stream);
        s->upstream.untuned = speaks_first(&login->target);
        login->reached_itself = addr_equal(addr, session_server_addr(s));
        record_set(&s->record.upstream, slice_of(addr_format(addr, name)));
    } else {
        login->failure = dialog_keep(&login->dialog, slice_of(text));
    }
    session_run(s);
}

static void
close_stream(struct session *s)
{
    struct login_state *login = s->login;

    dial_cancel(login->dial);
    login->dial = NULL;
    if (stream_is_open(&s->upstream.stream))
        side_close(&s->upstream, s->home->loop);
    s->upstream = (struct side){.stream.fd = -1};
    buf_discard(&login->from_upstream, buf_len(&login->from_upstream));
    buf_discard(&login->to_upstream, buf_len(&login->to_upstream));
    login->shown_upstream = 0;
}

void
session_close_upstream(struct session *s)
{
    close_stream(s);
    visit_end(&s->visit);
}

void
session_aim(const struct session *s, struct target *to,
            const struct target *given, const struct target *like)
{
    struct target aimed = *given;
    const struct upstream_pool *pool =
        given->pool.len > 0 ? config_pool(s->config, given->pool) : NULL;

    if (pool != NULL) {
        aimed = pool->like;
        aimed.pool = given->pool;
        aimed.pool_key = given->pool_key;
    } else if (given->bare) {
        aimed.bare = false;
        aimed.proxy_protocol = like->proxy_protocol;
        aimed.tls = like->tls;
        aimed.tls_profile = like->tls_profile;
        aimed.verify = like->verify;
        aimed.server_name = like->server_name;
        memcpy(aimed.pins, like->pins, sizeof aimed.pins);
        aimed.pin_count = like->pin_count;
        aimed.distrusted = like->distrusted;
    }
    *to = aimed;
}

/* What is tried, for the log; its address once that is known. */
static void
record_target(struct session *s, uint16_t port)
{
    char name[PLACE_TEXT_MAX];

    place_format(s->login->target.host, port, name);
    record_set(&s->record.upstream, slice_of(name));
    record_set(&s->record.pool, s->login->target.pool);
}

static void
set_port(struct session *s)
{
    struct target *target = &s->login->target;

    if (target->port == 0)
        target->port = target->tls == TLS_IMPLICIT
                           ? s->listener->proto->port_tls
                           : s->listener->proto->port;
}

/* The key that BALANCE_HASH goes by. */
static struct slice
pool_key(const struct session *s)
{
    const struct login_state *login = s->login;
    const struct dialog *d = &login->dialog;

    if (login->target.pool_key.len > 0)
        return login->target.pool_key;
    return d->credentials.user.len > 0 ? d->credentials.user : d->envelope.rcpt;
}

/* Makes the pool's next member the target; false when none is left. */
static bool
choose_member(struct session *s)
{
    struct login_state *login = s->login;
    struct target *target = &login->target;
    const struct upstream_pool *pool = config_pool(s->config, target->pool);
    const struct pool_member *m;

    if (pool == NULL)
        return false;
    enum balance balance =
        target->pool_key.len > 0 ? BALANCE_HASH : pool->pool.balance;
    m = pool_choose(&pool->pool, pool_key(s), balance, ev_now(s->home->loop),
                    &login->tries);
    if (m == NULL)
        return false;
    target->host = m->host;
    target->port = m->port;
    visit_begin(&s->visit, m->member, ev_now(s->home->loop));
    return true;
}

/* Those that are in no pool are known too, by their address. */
static void
visit_address(struct session *s)
{
    const struct target *target = &s->login->target;
    struct place place = {S(""), target->host, target->port};
    struct member *m = pools_take(s->home->pools, &place);

    visit_begin(&s->visit, m, ev_now(s->home->loop));
    member_unref(m);
}

bool
session_has_other_member(const struct session *s)
{
    const struct upstream_pool *pool =
        config_pool(s->config, s->login->target.pool);

    return pool != NULL && pool_has_more(&pool->pool, &s->login->tries);
}

enum phase
session_connect(struct session *s)
{
    struct login_state *login = s->login;

    session_close_upstream(s);
    if (login->target.pool.len == 0) {
        set_port(s);
        visit_address(s);
    } else if (!choose_member(s)) {
        return session_upstream_failed(s, END_UPSTREAM_UNREACHABLE,
                                       S("the configuration has no such pool"));
    }
    return session_dial(s);
}

enum phase
session_dial(struct session *s)
{
    struct login_state *login = s->login;
    struct target *target = &login->target;
    struct addr source;
    char host[256];

    close_stream(s);
    login->dial_done = login->prepared = login->upstream_shaking = false;
    login->upstream_greeted = false;
    login->upstream_attempt++;
    set_port(s);
    if (target->connect_timeout <= 0)
        target->connect_timeout = s->listener->limits.connect_timeout;
    uint16_t port =
        slice_has_prefix(target->host, S("unix:")) ? 0 : target->port;
    require(target->host.len < sizeof host);
    memcpy(host, target->host.ptr, target->host.len);
    host[target->host.len] = '\0';
    record_target(s, port);
    if (s->home->rehearsing)
        return PHASE_CONNECT;
    bool bound =
        target->source.len > 0 && addr_parse_ip(target->source, 0, &source);

    struct dial_request request = {
        .host = host,
        .port = port,
        .source = bound ? &source : NULL,
        .timeout = target->connect_timeout,
        .greeting = speaks_first(target) ? &login->from_upstream : NULL,
    };
    login->dial =
        dial_start(s->home->loop, s->home->dns, &request, on_dialled, s);
    return PHASE_CONNECT;
}

/* Whether it tells that the upstream is not well.  What goes wrong behind a
 * good greeting may be due to this one user; what can't prove who it is was not
 * reached. */
static bool
is_failure(const struct session *s, enum end why)
{
    if (why == END_UPSTREAM_UNREACHABLE || why == END_UPSTREAM_TIMEOUT)
        return true;
    return !s->login->upstream_greeted &&
           (why == END_UPSTREAM_GREETING || why == END_UPSTREAM_GARBAGE ||
            why == END_UPSTREAM_LOST || why == END_UPSTREAM_TLS);
}

static void
note_failure(struct session *s, enum end why)
{
    static const struct member_limits addresses = {2, 10};
    const struct upstream_pool *pool =
        config_pool(s->config, s->login->target.pool);
    const struct member *m = s->visit.member;
    double now = ev_now(s->home->loop);
    struct member_facts facts;
    char text[512];

    if (m == NULL || !is_failure(s, why))
        return;
    bool is_down = visit_failed(
        &s->visit, pool != NULL ? &pool->pool.limits : &addresses, now);
    member_facts(m, now, &facts);
    if (is_down && facts.pool.len > 0)
        log_warn("pool %.*s: %s is down for %.1f seconds (failures in a row: "
                 "%u): %s: %s",
                 (int)facts.pool.len, facts.pool.ptr, facts.address,
                 facts.seconds, facts.failures, end_name(why),
                 log_escape(s->login->failure, text, sizeof text));
}

void
session_upstream_answered(struct session *s)
{
    struct member_facts facts;
    double now = ev_now(s->home->loop);

    if (!visit_succeeded(&s->visit, now))
        return;
    member_facts(s->visit.member, now, &facts);
    if (facts.pool.len > 0)
        log_info("pool %.*s: %s is back: it answered a login",
                 (int)facts.pool.len, facts.pool.ptr, facts.address);
}

enum phase
session_upstream_failed(struct session *s, enum end why, struct slice text)
{
    struct login_state *login = s->login;
    char escaped[512];

    if (text.len > 0) /* it may be the stream's own */
        login->failure = dialog_keep(&login->dialog, text);
    note_failure(s, why);
    session_close_upstream(s);
    login->failed = why;
    log_warn("session %s: upstream %.*s: %s: %s", s->id,
             (int)login->target.host.len, login->target.host.ptr, end_name(why),
             log_escape(login->failure, escaped, sizeof escaped));
    if (login->dialog.fault == FAULT_RESOURCES)
        return session_end(s, END_RESOURCES);
    login->dialog.fault = FAULT_NONE;
    return session_ask(s, HOOK_CONNECT_FAILED);
}

/* The upstream is where the client connected to, with the same user. */
static bool
leads_back(const struct session *s)
{
    const struct dialog *d = &s->login->dialog;

    return s->login->reached_itself &&
           slice_equal(d->login.user, d->credentials.user);
}

/* The connection is up: the PROXY header, then TLS if it is to be there from
 * the first byte. */
static enum phase
prepare(struct session *s)
{
    struct login_state *login = s->login;

    if (!login->prepared) {
        login->prepared = true;
        if (login->target.proxy_protocol > 0 && !identity_write_proxy_header(s))
            return session_end(s, END_RESOURCES);
        if (leads_back(s))
            return session_end_loop(s, S("the upstream is this listener"));
    }
    if (login->target.tls != TLS_IMPLICIT)
        return session_ask(s, HOOK_UPSTREAM_AUTH);
    if (!session_flush_upstream(s))
        return PHASE_CONNECT;
    enum phase next = stream_is_plain(&s->upstream.stream)
                          ? session_secure_upstream(s)
                          : session_shake_upstream(s);
    if (next != PHASE_CONNECT || login->upstream_shaking || !login->dial_done)
        return next;
    return session_ask(s, HOOK_UPSTREAM_AUTH);
}

enum phase
phase_connect(struct session *s)
{
    struct login_state *login = s->login;

    if (session_client_left(s))
        return session_end(s, END_CLIENT_CLOSED);
    if (!login->dial_done)
        return PHASE_CONNECT;
    if (login->dial_status == DIAL_OK)
        return prepare(s);
    return session_upstream_failed(s,
                                   login->dial_status == DIAL_TIMEOUT
                                       ? END_UPSTREAM_TIMEOUT
                                       : END_UPSTREAM_UNREACHABLE,
                                   (struct slice){0});
}
