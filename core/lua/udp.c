#include "lua/udp.h"

#include "base/buf.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/failure.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/socket_data.h"
#include "lua/vm.h"
#include "net/addr.h"
#include "net/stand_in.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define METATABLE       "moongate.udp"
#define DATAGRAM_MAX    65507
#define TIMEOUT_DEFAULT 5.

struct udp {
    int fd; /* -1: no peer */
    struct ev_loop *loop;
    ev_io io;
    ev_timer timer;
    struct ticket ticket;
    lua_State *L; /* the main thread */
    int self_ref; /* while it waits */
    size_t size;
    double timeout;
};

static struct udp *
check_udp(lua_State *L)
{
    struct udp *u = luaL_checkudata(L, 1, METATABLE);

    if (u->self_ref != LUA_NOREF)
        (void)luaL_error(L, "socket: another operation is under way");
    return u;
}

static void
let_go(struct udp *u)
{
    ev_io_stop(u->loop, &u->io);
    ev_timer_stop(u->loop, &u->timer);
    luaL_unref(u->L, LUA_REGISTRYINDEX, u->self_ref);
    u->self_ref = LUA_NOREF;
}

static void
udp_shut(struct udp *u)
{
    if (u->fd >= 0)
        (void)close(u->fd);
    u->fd = -1;
}

static void
udp_cancel(void *op)
{
    struct udp *u = op;

    let_go(u);
    udp_shut(u);
}

static int
push_error(lua_State *L, int error)
{
    return failure_push(
        L, error == ECONNREFUSED ? FAILURE_CONNECT : FAILURE_CLOSED,
        "socket: %s", strerror(error));
}

static int
not_connected(lua_State *L)
{
    return failure_push(L, FAILURE_CLOSED, "socket: no peer");
}

/* How many results; 0: nothing has come. */
static int
push_received(lua_State *L, const struct udp *u)
{
    char datagram[DATAGRAM_MAX];
    ssize_t len = recv(u->fd, datagram, u->size, 0);

    if (len < 0 && errno == EAGAIN)
        return 0;
    if (len < 0)
        return push_error(L, errno);
    lua_pushlstring(L, datagram, (size_t)len);
    return 1;
}

static void
finish(struct udp *u, bool late)
{
    struct ticket ticket = u->ticket;
    lua_State *L = await_done(&ticket);
    int results = 0;

    if (L != NULL && late)
        results = failure_push(L, FAILURE_TIMEOUT, "socket: timed out");
    else if (L != NULL && (results = push_received(L, u)) == 0)
        return; /* a checksum was wrong */
    let_go(u);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", late ? "timed out" : "done");
    await_resume(&ticket, results);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    finish(container_of(io, struct udp, io), false);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    finish(container_of(timer, struct udp, timer), true);
}

static void
read_peer(lua_State *L, struct addr *peer)
{
    struct slice host;
    struct error err;

    host.ptr = luaL_checklstring(L, 2, &host.len);
    if (slice_has_prefix(host, S("unix:"))) {
        if (!addr_parse(host, 0, peer, &err))
            (void)luaL_argerror(L, 2, err.text);
        return;
    }
    lua_Number port = luaL_checknumber(L, 3);
    luaL_argcheck(L, port >= 1 && port <= 65535, 3,
                  "a port is from 1 to 65535");
    if (!addr_parse_ip(host, (uint16_t)port, peer))
        (void)luaL_argerror(L, 2, "an IP address or \"unix:/path\" expected");
}

static int
udp_setpeername(lua_State *L)
{
    struct udp *u = check_udp(L);
    const struct host *host = host_or_raise(L);
    struct addr peer;

    udp_shut(u);
    read_peer(L, &peer);
    if (vm_of(L)->replays || stand_in_of(host->loop) != NULL)
        return failure_push(L, FAILURE_CONNECT, "socket: no datagrams here");
    u->loop = host->loop;
    u->fd = socket(peer.any.sa_family,
                   SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0 || connect(u->fd, &peer.any, peer.len) != 0) {
        int error = errno;
        udp_shut(u);
        return push_error(L, error);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* Argument: the buffer. Protected, so that it is wiped in any case. */
static int
fill(lua_State *L)
{
    socket_data(L, 2, lua_touserdata(L, 1));
    return 0;
}

static int
udp_send(lua_State *L)
{
    const struct udp *u = check_udp(L);
    struct buf out;

    luaL_checkany(L, 2);
    if (u->fd < 0)
        return not_connected(L);
    buf_init(&out, DATAGRAM_MAX);
    lua_pushcfunction(L, fill);
    lua_pushlightuserdata(L, &out);
    lua_pushvalue(L, 2);
    int status = lua_pcall(L, 2, 0, 0);
    struct slice bytes = buf_bytes(&out);
    ssize_t sent =
        status == 0 ? send(u->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) : 0;
    int error = errno;
    buf_deinit(&out);
    if (status != 0)
        return lua_error(L);
    if (sent < 0)
        return push_error(L, error);
    lua_pushboolean(L, 1);
    return 1;
}

static int
udp_receive(lua_State *L)
{
    struct udp *u = check_udp(L);
    lua_Number size = luaL_optnumber(L, 2, DATAGRAM_MAX);

    luaL_argcheck(L, size >= 1 && size <= DATAGRAM_MAX, 2, "1 to 65507");
    if (u->fd < 0)
        return not_connected(L);
    u->size = (size_t)size;
    (void)await_known(L, "socket receive");
    int results = push_received(L, u);
    if (results > 0)
        return results;
    ev_io_set(&u->io, u->fd, EV_READ);
    ev_io_start(u->loop, &u->io);
    ev_timer_set(&u->timer, time_within(L, u->timeout), 0.);
    ev_timer_start(u->loop, &u->timer);
    lua_pushvalue(L, 1);
    u->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return await(L, udp_cancel, u, &u->ticket);
}

static int
udp_settimeout(lua_State *L)
{
    struct udp *u = check_udp(L);
    double seconds = luaL_checknumber(L, 2);

    luaL_argcheck(L, seconds > 0 && seconds <= 3600, 2, "seconds, up to 3600");
    u->timeout = seconds;
    return 0;
}

static int
udp_close(lua_State *L)
{
    udp_shut(check_udp(L));
    lua_pushboolean(L, 1);
    return 1;
}

static int
collect(lua_State *L)
{
    struct udp *u = luaL_checkudata(L, 1, METATABLE);

    if (u->loop != NULL) {
        ev_io_stop(u->loop, &u->io);
        ev_timer_stop(u->loop, &u->timer);
    }
    udp_shut(u);
    return 0;
}

int
udp_new(lua_State *L)
{
    static const luaL_Reg events[] = {{"__gc", collect}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"setpeername", udp_setpeername},
        {"send", udp_send},
        {"receive", udp_receive},
        {"settimeout", udp_settimeout},
        {"close", udp_close},
        {NULL, NULL},
    };
    struct udp *u = lua_newuserdata(L, sizeof *u);

    *u = (struct udp){
        .fd = -1,
        .L = vm_of(L)->L,
        .self_ref = LUA_NOREF,
        .timeout = TIMEOUT_DEFAULT,
    };
    ev_init(&u->io, on_io);
    ev_init(&u->timer, on_timer);
    object_set_type(L, METATABLE, events, methods);
    return 1;
}
