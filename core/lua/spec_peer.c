#include "lua/spec_peer.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/slice.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SENT_MAX  ((size_t)16 << 20)
#define READ_SIZE 16384

struct peer {
    struct list link;
    struct spec_world *world;
    int fd;
    ev_io io;
    ev_timer pause; /* before `out` is sent */
    int serve;      /* registry: the function */
    struct buf out;
    bool closes;
};

static void
peer_free(struct peer *p)
{
    struct ev_loop *loop = p->world->loop;

    ev_io_stop(loop, &p->io);
    ev_timer_stop(loop, &p->pause);
    (void)close(p->fd);
    luaL_unref(p->world->L, LUA_REGISTRYINDEX, p->serve);
    buf_deinit(&p->out);
    list_remove(&p->link);
    free(p);
}

static void
watch(struct peer *p, int events)
{
    struct ev_loop *loop = p->world->loop;

    ev_io_stop(loop, &p->io);
    ev_io_set(&p->io, p->fd, events);
    ev_io_start(loop, &p->io);
}

/* May free the peer. */
static void
flush(struct peer *p)
{
    while (!buf_is_empty(&p->out)) {
        struct slice bytes = buf_bytes(&p->out);
        ssize_t n =
            send(p->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(p, EV_READ | EV_WRITE);
            return;
        }
        if (n < 0) {
            peer_free(p);
            return;
        }
        buf_discard(&p->out, (size_t)n);
    }
    if (p->closes)
        peer_free(p);
    else
        watch(p, EV_READ);
}

static void
on_pause(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    flush(container_of(timer, struct peer, pause));
}

/* The function has something to look at.  May free the peer. */
static void
serve(struct peer *p, struct slice bytes)
{
    struct spec_world *w = p->world;
    lua_State *L = w->L;
    struct slice reply = S("");

    lua_rawgeti(L, LUA_REGISTRYINDEX, p->serve);
    lua_pushlstring(L, bytes.ptr, bytes.len);
    if (!spec_world_call(w, 1, 3))
        return;
    if (lua_isstring(L, -3))
        reply.ptr = lua_tolstring(L, -3, &reply.len);
    double delay = lua_tonumber(L, -2);
    p->closes = p->closes || lua_toboolean(L, -1);
    bool kept = buf_append(&p->out, reply);
    lua_pop(L, 3);
    require(kept);
    if (ev_is_active(&p->pause))
        return;
    if (delay <= 0) {
        flush(p);
        return;
    }
    ev_timer_set(&p->pause, delay, 0.);
    ev_timer_start(w->loop, &p->pause);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct peer *p = container_of(io, struct peer, io);
    char block[READ_SIZE];

    (void)loop;
    if ((events & EV_READ) == 0) {
        flush(p);
        return;
    }
    ssize_t n = recv(p->fd, block, sizeof(block), MSG_DONTWAIT);
    if (n > 0)
        serve(p, (struct slice){block, (size_t)n});
    else if (n == 0 || errno != EAGAIN)
        peer_free(p);
}

int
spec_peer_new(struct spec_world *w)
{
    int ends[2];
    struct peer *p = xcalloc(1, sizeof *p);

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   ends) != 0) {
        lua_pop(w->L, 1);
        free(p);
        return -1;
    }
    p->world = w;
    p->fd = ends[0];
    p->serve = luaL_ref(w->L, LUA_REGISTRYINDEX);
    buf_init(&p->out, SENT_MAX);
    ev_init(&p->pause, on_pause);
    ev_io_init(&p->io, on_io, p->fd, EV_READ);
    ev_io_start(w->loop, &p->io);
    list_append(&w->peers, &p->link);
    serve(p, S(""));
    return ends[1];
}

void
spec_peers_free(struct spec_world *w)
{
    struct list *next;

    for (struct list *l = w->peers.next; l != &w->peers; l = next) {
        next = l->next;
        peer_free(container_of(l, struct peer, link));
    }
}
