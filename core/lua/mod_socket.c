/* mod_socket.c -- `moongate.socket`: tcp() gives a connection with connect,
 * sslhandshake, send, receive, receiveany, receiveuntil, setkeepalive,
 * getreusedtimes, settimeout, settimeouts, close. */
#include "base/slice.h"
#include "lua/auth_tls.h"
#include "lua/await.h"
#include "lua/client_certificate.h"
#include "lua/generation.h"
#include "lua/lasting.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/socket_data.h"
#include "lua/socket_object.h"
#include "lua/socket_pool.h"
#include "lua/tcp.h"
#include "lua/udp.h"
#include "lua/vm.h"
#include "net/stand_in.h"
#include "net/stream_tls.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define METATABLE       "moongate.socket"
#define TIMEOUT_DEFAULT 5.
#define HOST_MAX        253
#define POOL_NAME_MAX   300
#define POOL_SIZE       30 /* as in OpenResty */
#define KEEP_SECONDS    60.
#define SETTINGS_MAX    4096

struct lua_socket {
    struct tcp tcp;
    struct ticket ticket;
    lua_State *L; /* the main thread */
    int self_ref; /* while an operation waits */
    int pattern_ref;
    size_t sent;
    double connect_timeout, send_timeout, receive_timeout;
    char host[HOST_MAX + 1];
    uint16_t port;
    struct socket_pool *pool; /* that it is in use of; or NULL */
    struct socket_waiter waiter;
    bool queued;          /* it waits there */
    ev_timer queue_timer; /* for so long */
    ev_tstamp ends;       /* of connecting */
    unsigned reused;
    struct auth_tls settings;
    struct buf tls; /* what the peer had to prove; empty: plain */
    struct tls_identity *identity; /* that it shows; or NULL */
    struct socket_shown shown;     /* of that */
};

static struct lua_socket *
check_socket(lua_State *L)
{
    struct lua_socket *s = luaL_checkudata(L, 1, METATABLE);

    if (s->tcp.doing != TCP_NOTHING)
        (void)luaL_error(L, "socket: another operation is under way");
    return s;
}

static void
leave_queue(struct lua_socket *s)
{
    if (!s->queued)
        return;
    s->queued = false;
    ev_timer_stop(s->tcp.loop, &s->queue_timer);
    socket_pool_give_up(s->pool, &s->waiter);
}

/* The connection is another's, or over. */
static void
leave_pool(struct lua_socket *s)
{
    leave_queue(s);
    if (s->pool != NULL)
        socket_pool_leave(s->pool);
    s->pool = NULL;
    s->reused = 0;
    buf_deinit(&s->tls);
}

static void
disconnect(struct lua_socket *s)
{
    tcp_close(&s->tcp);
    leave_pool(s);
}

static void
let_go(struct lua_socket *s)
{
    s->tcp.doing = TCP_NOTHING;
    luaL_unref(s->L, LUA_REGISTRYINDEX, s->self_ref);
    luaL_unref(s->L, LUA_REGISTRYINDEX, s->pattern_ref);
    s->self_ref = s->pattern_ref = LUA_NOREF;
}

static void
socket_cancel(void *op)
{
    struct lua_socket *s = op;

    disconnect(s);
    let_go(s);
}

static int
push_received(lua_State *L, struct tcp *t, enum tcp_state state)
{
    struct slice bytes = buf_bytes(&t->in);
    size_t used = 0;

    if (state == TCP_READY && tcp_take(t, &bytes, &used)) {
        lua_pushlstring(L, bytes.ptr, bytes.len);
        buf_discard(&t->in, used);
        return 1;
    }
    (void)failure_push(L, t->kind, "socket: %s", t->text);
    lua_pushlstring(L, bytes.ptr, bytes.len);
    buf_discard(&t->in, bytes.len);
    return 3;
}

static int
push_outcome(lua_State *L, struct lua_socket *s, enum tcp_doing did,
             enum tcp_state state)
{
    if (did == TCP_RECEIVE)
        return push_received(L, &s->tcp, state);
    if (state == TCP_FAILED)
        return failure_push(L, s->tcp.kind, "socket: %s", s->tcp.text);
    if (did == TCP_SEND)
        lua_pushinteger(L, (lua_Integer)s->sent);
    else
        lua_pushboolean(L, 1);
    return 1;
}

static void
on_done(struct tcp *t, enum tcp_state state)
{
    struct lua_socket *s = container_of(t, struct lua_socket, tcp);
    struct ticket ticket = s->ticket;
    lua_State *L = await_done(&ticket);
    int results = 0;

    if (L != NULL)
        results = push_outcome(L, s, t->doing, state);
    let_go(s);
    if (!stream_is_open(&t->stream))
        leave_pool(s);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", state == TCP_FAILED ? t->text : "done");
    await_resume(&ticket, results);
}

/* Ends a call: now, or when the operation is over. */
static int
conclude(lua_State *L, struct lua_socket *s, enum tcp_doing doing,
         enum tcp_state state)
{
    if (state != TCP_WAIT) {
        int results = push_outcome(L, s, doing, state);
        if (!stream_is_open(&s->tcp.stream))
            leave_pool(s);
        luaL_unref(L, LUA_REGISTRYINDEX, s->pattern_ref);
        s->pattern_ref = LUA_NOREF;
        return results;
    }
    lua_pushvalue(L, 1);
    s->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return await(L, socket_cancel, s, &s->ticket);
}

/* --- connecting --- */

static void
adopt(struct lua_socket *s, const struct socket_kept *kept)
{
    s->tcp.stream = kept->stream;
    s->tls = kept->tls;
    s->reused = kept->reused;
}

static enum tcp_state
dial(struct lua_socket *s)
{
    double left = s->ends - ev_now(s->tcp.loop);

    return tcp_connect(&s->tcp, s->host, s->port, left > 0.001 ? left : 0.001);
}

/* An idle connection, or a new one. */
static enum tcp_state
reach(struct lua_socket *s)
{
    struct socket_kept kept;

    if (!socket_pool_take(s->pool, &kept))
        return dial(s);
    adopt(s, &kept);
    return TCP_READY;
}

static void
on_turn(struct socket_waiter *w)
{
    struct lua_socket *s = container_of(w, struct lua_socket, waiter);

    s->queued = false;
    ev_timer_stop(s->tcp.loop, &s->queue_timer);
    if (reach(s) == TCP_READY)
        on_done(&s->tcp, TCP_READY);
}

static void
on_queue_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct lua_socket *s = container_of(timer, struct lua_socket, queue_timer);

    (void)loop, (void)events;
    leave_queue(s);
    s->tcp.kind = FAILURE_TIMEOUT;
    (void)snprintf(s->tcp.text, sizeof s->tcp.text,
                   "timed out waiting for a connection of the pool");
    on_done(&s->tcp, TCP_FAILED);
}

static void
enter_queue(struct lua_socket *s, double seconds)
{
    s->queued = true;
    s->tcp.doing = TCP_CONNECT;
    socket_pool_wait(s->pool, &s->waiter);
    ev_timer_set(&s->queue_timer, seconds, 0.);
    ev_timer_start(s->tcp.loop, &s->queue_timer);
}

static void
read_place(lua_State *L, struct lua_socket *s)
{
    size_t len;
    const char *host = luaL_checklstring(L, 2, &len);
    bool local = strncmp(host, "unix:", 5) == 0;
    lua_Number port = local ? 0 : luaL_checknumber(L, 3);

    if (len == 0 || strlen(host) != len || len > HOST_MAX)
        (void)luaL_argerror(L, 2, "a host or \"unix:/path\" is expected");
    if (!local && !(port >= 1 && port <= 65535))
        (void)luaL_argerror(L, 3, "a port is from 1 to 65535");
    memcpy(s->host, host, len + 1);
    s->port = (uint16_t)port;
}

/* How a connection is shared with others. */
struct sharing {
    char name[POOL_NAME_MAX + 1];
    size_t size;
    double backlog; /* -1: nobody waits, however many there are */
};

static void
read_sharing(lua_State *L, const struct lua_socket *s, struct sharing *to)
{
    static const char *const names[] = {"pool", "pool_size", "backlog", NULL};
    bool local = s->port == 0;
    struct options o = options_check(L, local ? 3 : 4, "connect", names);
    struct slice name;

    if (option_bytes(&o, "pool", &name)) {
        if (name.len == 0 || name.len > POOL_NAME_MAX || has_control(name))
            (void)luaL_error(L, "connect: pool: a name is expected");
        (void)snprintf(to->name, sizeof to->name, "%.*s", (int)name.len,
                       name.ptr);
    } else if (local) {
        (void)snprintf(to->name, sizeof to->name, "%s", s->host);
    } else {
        (void)snprintf(to->name, sizeof to->name, "%s:%d", s->host, s->port);
    }
    lua_pop(L, 1);
    to->size = (size_t)option_number(
        &o, "pool_size", (struct option_range){POOL_SIZE, 1, 10000});
    to->backlog =
        option_number(&o, "backlog", (struct option_range){-1, 0, 10000});
}

static int
socket_connect(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    const struct host *host = host_or_raise(L);
    struct sharing sharing;

    disconnect(s);
    read_place(L, s);
    read_sharing(L, s, &sharing);
    if (vm_of(L)->replays)
        return failure_push(L, FAILURE_CONNECT,
                            "socket: a replay connects to nobody");
    if (s->port == 0)
        (void)await_known(L, "socket connect %s", s->host);
    else
        (void)await_known(L, "socket connect %s:%d", s->host, s->port);
    double seconds = time_within(L, s->connect_timeout);
    s->ends = ev_now(host->loop) + seconds;
    s->pool =
        socket_pool_enter(host->lasting, sharing.name, &s->shown, sharing.size);
    bool waits = sharing.backlog >= 0 && socket_pool_is_over(s->pool);
    if (!waits)
        return conclude(L, s, TCP_CONNECT, reach(s));
    if ((double)socket_pool_waiting(s->pool) >= sharing.backlog) {
        leave_pool(s);
        return failure_push(L, FAILURE_OVERLOAD,
                            "socket: too many wait for the pool");
    }
    enter_queue(s, seconds);
    return conclude(L, s, TCP_CONNECT, TCP_WAIT);
}

static int
not_connected(lua_State *L)
{
    return failure_push(L, FAILURE_CLOSED, "socket: not connected");
}

static int
socket_send(lua_State *L)
{
    struct lua_socket *s = luaL_checkudata(L, 1, METATABLE);
    bool receives = s->tcp.doing == TCP_RECEIVE;

    if (!receives)
        (void)check_socket(L);
    luaL_checkany(L, 2);
    if (!stream_is_open(&s->tcp.stream))
        return not_connected(L);
    buf_deinit(&s->tcp.out);
    socket_data(L, 2, &s->tcp.out);
    s->sent = buf_len(&s->tcp.out);
    if (receives)
        return push_outcome(L, s, TCP_SEND, tcp_send_now(&s->tcp));
    (void)await_known(L, "socket send");
    return conclude(L, s, TCP_SEND,
                    tcp_send(&s->tcp, time_within(L, s->send_timeout)));
}

static int
receive(lua_State *L, struct lua_socket *s)
{
    if (!stream_is_open(&s->tcp.stream))
        return not_connected(L);
    (void)await_known(L, "socket receive");
    return conclude(L, s, TCP_RECEIVE,
                    tcp_receive(&s->tcp, time_within(L, s->receive_timeout)));
}

static size_t
check_size(lua_State *L, int index)
{
    lua_Number size = luaL_checknumber(L, index);

    if (!(size >= 0 && size <= (lua_Number)TCP_BUFFER_MAX))
        (void)luaL_argerror(L, index, "from 0 to 1 MiB");
    return (size_t)size;
}

static int
socket_receive(lua_State *L)
{
    static const char *const names[] = {"*l", "*a", NULL};
    struct lua_socket *s = check_socket(L);

    if (lua_type(L, 2) == LUA_TNUMBER) {
        s->tcp.want = TCP_BYTES;
        s->tcp.want_bytes = check_size(L, 2);
    } else {
        s->tcp.want =
            luaL_checkoption(L, 2, "*l", names) == 0 ? TCP_LINE : TCP_ALL;
    }
    return receive(L, s);
}

static int
socket_receiveany(lua_State *L)
{
    struct lua_socket *s = check_socket(L);

    s->tcp.want = TCP_ANY;
    s->tcp.want_bytes = check_size(L, 2);
    if (s->tcp.want_bytes == 0)
        return luaL_argerror(L, 2, "at least 1");
    return receive(L, s);
}

/* The iterator of receiveuntil: upvalues are the socket and the pattern. */
static int
next_until(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    struct lua_socket *s = check_socket(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    s->tcp.want = TCP_UNTIL;
    s->tcp.pattern.ptr = lua_tolstring(L, -1, &s->tcp.pattern.len);
    s->pattern_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return receive(L, s);
}

static int
socket_receiveuntil(lua_State *L)
{
    size_t len;

    (void)check_socket(L);
    (void)luaL_checklstring(L, 2, &len);
    if (len == 0 || len > 256)
        return luaL_argerror(L, 2, "1 to 256 bytes");
    lua_settop(L, 2);
    lua_pushcclosure(L, next_until, 2);
    return 1;
}

static double
check_timeout(lua_State *L, int index)
{
    double seconds = luaL_checknumber(L, index);

    if (!(seconds > 0 && seconds <= 3600))
        (void)luaL_argerror(L, index, "seconds, up to 3600");
    return seconds;
}

static int
socket_settimeout(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    double seconds = check_timeout(L, 2);

    s->connect_timeout = s->send_timeout = s->receive_timeout = seconds;
    return 0;
}

static int
socket_settimeouts(lua_State *L)
{
    struct lua_socket *s = check_socket(L);

    s->connect_timeout = check_timeout(L, 2);
    s->send_timeout = check_timeout(L, 3);
    s->receive_timeout = check_timeout(L, 4);
    return 0;
}

static int
socket_close(lua_State *L)
{
    disconnect(check_socket(L));
    lua_pushboolean(L, 1);
    return 1;
}

/* --- TLS --- */

static int
tls_failed(lua_State *L, struct lua_socket *s, const char *why)
{
    int results = failure_push(L, FAILURE_TLS, "socket: TLS: %s", why);

    disconnect(s);
    return results;
}

static int
not_started(lua_State *L, struct lua_socket *s)
{
    const struct stream *stream = &s->tcp.stream;

    return tls_failed(L, s,
                      stream_is_plain(stream) ? "it could not be started"
                                              : stream_tls_failure(stream));
}

static void
read_settings(lua_State *L, struct lua_socket *s, struct buf *described)
{
    static const char *const names[] = {"profile", "server_name", "verify",
                                        "pin", NULL};
    const struct generation *g = vm_of(L)->generation;
    struct options o = options_check(L, 2, "sslhandshake", names);

    auth_tls_deinit(&s->settings);
    auth_tls_init(&s->settings);
    s->settings.config = g != NULL ? g->config : NULL;
    s->settings.identity = s->identity;
    auth_tls_read(&o, &s->settings);
    auth_tls_require(L, &s->settings, "sslhandshake");
    if (*s->settings.server_name == '\0')
        auth_tls_name(&s->settings, s->settings.profile, s->host);
    buf_init(described, SETTINGS_MAX);
    auth_tls_describe(&s->settings, described);
}

static int
socket_sslhandshake(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    struct buf described;

    if (!stream_is_open(&s->tcp.stream))
        return not_connected(L);
    if (stand_in_of(s->tcp.loop) != NULL) {
        lua_pushboolean(L, 1);
        return 1;
    }
    read_settings(L, s, &described);
    bool same = slice_equal(buf_bytes(&described), buf_bytes(&s->tls));
    buf_deinit(&s->tls);
    s->tls = described;
    (void)await_known(L, "socket sslhandshake %s", s->settings.server_name);
    if (!stream_is_plain(&s->tcp.stream)) { /* another has made it */
        if (!same)
            return tls_failed(L, s, "the pool's connection has other settings");
        lua_pushboolean(L, 1);
        return 1;
    }
    if (!buf_is_empty(&s->tcp.in))
        return tls_failed(L, s, "the peer has sent more than was received");
    s->pool = socket_pool_change(host_of(L)->lasting, s->pool, &s->shown);
    if (!auth_tls_start(&s->settings, s->host, s->port, &s->tcp.stream))
        return not_started(L, s);
    return conclude(L, s, TCP_HANDSHAKE,
                    tcp_handshake(&s->tcp, time_within(L, s->connect_timeout)));
}

/* The next one may live where the last one was. */
static void
drop_identity(struct lua_socket *s)
{
    tls_identity_unref(s->identity);
    s->identity = s->settings.identity = NULL;
    s->shown = (struct socket_shown){{0}};
}

int
socket_set_certificate(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    struct tls_identity *identity = NULL;
    struct error err;

    if (!lua_isnil(L, 2)) {
        identity = client_certificate_identity(L, 2, 3, &err);
        if (identity == NULL) {
            lua_pushnil(L);
            lua_pushstring(L, err.text);
            return 2;
        }
    }
    drop_identity(s);
    s->identity = identity;
    if (identity != NULL)
        tls_identity_digest(identity, s->shown.digest);
    lua_pushboolean(L, 1);
    return 1;
}

/* --- keeping --- */

static int
socket_setkeepalive(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    lua_Number seconds = luaL_optnumber(L, 2, KEEP_SECONDS);
    lua_Number size = luaL_optnumber(L, 3, 0);

    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "seconds");
    luaL_argcheck(L, size >= 0 && size <= 10000, 3, "from 1 to 10000");
    if (!stream_is_open(&s->tcp.stream) || s->pool == NULL)
        return not_connected(L);
    if (!tcp_is_silent(&s->tcp)) {
        disconnect(s);
        return failure_push(L, FAILURE_CLOSED,
                            "socket: closed, or there is more to receive");
    }
    struct socket_kept kept = {s->tcp.stream, s->tls, s->reused};
    s->tcp.stream = (struct stream){.fd = -1};
    buf_init(&s->tls, SETTINGS_MAX);
    socket_pool_keep(s->pool, &kept, seconds, (size_t)size);
    disconnect(s);
    lua_pushboolean(L, 1);
    return 1;
}

static int
socket_getreusedtimes(lua_State *L)
{
    const struct lua_socket *s = check_socket(L);

    if (!stream_is_open(&s->tcp.stream))
        return not_connected(L);
    lua_pushinteger(L, (lua_Integer)s->reused);
    return 1;
}

static int
socket_gc(lua_State *L)
{
    struct lua_socket *s = luaL_checkudata(L, 1, METATABLE);

    disconnect(s);
    drop_identity(s);
    auth_tls_deinit(&s->settings);
    return 0;
}

static int
socket_tcp(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    struct lua_socket *s = lua_newuserdata(L, sizeof(*s));

    *s = (struct lua_socket){
        .L = vm->L,
        .self_ref = LUA_NOREF,
        .pattern_ref = LUA_NOREF,
        .connect_timeout = TIMEOUT_DEFAULT,
        .send_timeout = TIMEOUT_DEFAULT,
        .receive_timeout = TIMEOUT_DEFAULT,
    };
    tcp_init(&s->tcp, vm->host != NULL ? vm->host->loop : NULL,
             vm->host != NULL ? vm->host->dns : NULL, on_done);
    s->waiter.turn = on_turn;
    ev_init(&s->queue_timer, on_queue_timer);
    buf_init(&s->tls, SETTINGS_MAX);
    auth_tls_init(&s->settings);
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    return 1;
}

int
mod_socket_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"tcp", socket_tcp}, {"udp", udp_new}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"connect", socket_connect},
        {"sslhandshake", socket_sslhandshake},
        {"send", socket_send},
        {"receive", socket_receive},
        {"receiveany", socket_receiveany},
        {"receiveuntil", socket_receiveuntil},
        {"settimeout", socket_settimeout},
        {"settimeouts", socket_settimeouts},
        {"setkeepalive", socket_setkeepalive},
        {"getreusedtimes", socket_getreusedtimes},
        {"close", socket_close},
        {NULL, NULL},
    };

    if (luaL_newmetatable(L, METATABLE) != 0) {
        lua_pushcfunction(L, socket_gc);
        lua_setfield(L, -2, "__gc");
        lua_newtable(L);
        luaL_register(L, NULL, methods);
        lua_setfield(L, -2, "__index");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
