/* mod_socket.c -- `moongate.socket`: tcp() gives a connection with connect,
 * send, receive, receiveany, receiveuntil, settimeout, settimeouts, close. */
#include "base/slice.h"
#include "lua/await.h"
#include "lua/module.h"
#include "lua/objects.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/tcp.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>

#define METATABLE       "moongate.socket"
#define TIMEOUT_DEFAULT 5.
#define SEND_DEPTH_MAX  16

struct lua_socket {
    struct tcp tcp;
    struct ticket ticket;
    lua_State *L; /* the main thread */
    int self_ref; /* while an operation waits */
    int pattern_ref;
    size_t sent;
    double connect_timeout, send_timeout, receive_timeout;
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

    tcp_close(&s->tcp);
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
        luaL_unref(L, LUA_REGISTRYINDEX, s->pattern_ref);
        s->pattern_ref = LUA_NOREF;
        return results;
    }
    lua_pushvalue(L, 1);
    s->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return await(L, socket_cancel, s, &s->ticket);
}

static int
socket_connect(lua_State *L)
{
    struct lua_socket *s = check_socket(L);
    size_t len;
    const char *host = luaL_checklstring(L, 2, &len);
    (void)host_or_raise(L);
    bool local = strncmp(host, "unix:", 5) == 0;
    lua_Number port = local ? 0 : luaL_checknumber(L, 3);

    if (len == 0 || strlen(host) != len || len > 253)
        return luaL_argerror(L, 2, "a host or \"unix:/path\" is expected");
    if (!local && !(port >= 1 && port <= 65535))
        return luaL_argerror(L, 3, "a port is from 1 to 65535");
    if (vm_of(L)->replays)
        return failure_push(L, FAILURE_CONNECT,
                            "socket: a replay connects to nobody");
    if (local)
        (void)await_known(L, "socket connect %s", host);
    else
        (void)await_known(L, "socket connect %s:%d", host, (int)port);
    return conclude(L, s, TCP_CONNECT,
                    tcp_connect(&s->tcp, host, (uint16_t)port,
                                time_within(L, s->connect_timeout)));
}

/* Appends a string, a number, a Secret, or a table of such. */
static void
append(lua_State *L, struct buf *out, int index, int depth)
{
    struct slice bytes;

    if (lua_type(L, index) == LUA_TNUMBER)
        (void)lua_tostring(L, index);
    if (secret_or_string(L, index, &bytes)) {
        if (!buf_append(out, bytes))
            (void)luaL_error(L, "socket: more than 1 MiB in one send");
        return;
    }
    if (!lua_istable(L, index) || depth == 0)
        (void)luaL_argerror(L, 2, "a string, Secret or table of them");
    luaL_checkstack(L, 2, "socket");
    size_t count = lua_objlen(L, index);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        append(L, out, lua_gettop(L), depth - 1);
        lua_pop(L, 1);
    }
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
    append(L, &s->tcp.out, 2, SEND_DEPTH_MAX);
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
    struct lua_socket *s = check_socket(L);

    tcp_close(&s->tcp);
    lua_pushboolean(L, 1);
    return 1;
}

static int
socket_gc(lua_State *L)
{
    struct lua_socket *s = luaL_checkudata(L, 1, METATABLE);

    tcp_close(&s->tcp);
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
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    return 1;
}

int
mod_socket_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"tcp", socket_tcp}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"connect", socket_connect},
        {"send", socket_send},
        {"receive", socket_receive},
        {"receiveany", socket_receiveany},
        {"receiveuntil", socket_receiveuntil},
        {"settimeout", socket_settimeout},
        {"settimeouts", socket_settimeouts},
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
