#include "lua/envelope_object.h"

#include "base/slice.h"
#include "lua/target.h"
#include "session/sessions.h"

#include <string.h>

static void
set_text(lua_State *L, const char *name, struct slice text)
{
    lua_pushlstring(L, text.ptr != NULL ? text.ptr : "", text.len);
    lua_setfield(L, -2, name);
}

static void
set_string(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void
set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static struct slice
drop_spaces(struct slice s)
{
    while (s.len > 0 && s.ptr[0] == ' ')
        s = slice_drop(s, 1);
    return s;
}

/* Where the path ends: the `>` that is not inside a quoted local part. */
static size_t
end_of_path(struct slice s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (s.ptr[i] == '>' && !quoted)
            return i;
    }
    return s.len;
}

struct envelope_address
envelope_parse(struct slice command)
{
    struct envelope_address a;
    struct slice rest = command;

    (void)slice_cut(&rest, ':');
    rest = drop_spaces(rest);
    if (rest.len > 0 && rest.ptr[0] == '<') {
        rest = slice_drop(rest, 1);
        size_t end = end_of_path(rest);
        a.address = slice_take(rest, end);
        a.params = drop_spaces(slice_drop(rest, end + 1));
        return a;
    }
    a.address = slice_cut(&rest, ' ');
    a.params = drop_spaces(rest);
    return a;
}

void
envelope_push(lua_State *L, struct slice command)
{
    struct envelope_address a = envelope_parse(command);
    const char *at =
        a.address.len > 0 ? memrchr(a.address.ptr, '@', a.address.len) : NULL;
    size_t local = at == NULL ? a.address.len : (size_t)(at - a.address.ptr);

    lua_newtable(L);
    set_text(L, "address", a.address);
    set_text(L, "local_part", slice_take(a.address, local));
    if (at != NULL)
        set_text(L, "domain", slice_drop(a.address, local + 1));
    lua_newtable(L);
    while (a.params.len > 0) {
        struct slice value = slice_cut(&a.params, ' ');
        struct slice name = slice_cut(&value, '=');
        if (name.len == 0)
            continue;
        lua_pushlstring(L, name.ptr, name.len);
        lua_pushlstring(L, value.len > 0 ? value.ptr : "", value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "params");
}

void
target_push_address(lua_State *L, const struct target *t,
                    const struct proto *proto)
{
    char text[TARGET_TEXT_MAX];
    struct slice address = target_format(t, proto, text);

    lua_pushlstring(L, address.ptr, address.len);
}

void
upstream_push(lua_State *L, const struct session *s)
{
    const struct target *t = &s->login->target;

    lua_newtable(L);
    target_push_address(L, t, s->listener->proto);
    lua_setfield(L, -2, "address");
    set_text(L, "host", t->host);
    set_number(L, "port", target_port(t, s->listener->proto));
    set_string(L, "tls", target_tls_name(t->tls));
    if (t->pool.len > 0)
        set_text(L, "pool", t->pool);
}

const char *
reason_label(enum reason reason)
{
    switch (reason) {
    case REASON_BAD_CREDENTIALS:
        return "bad-credentials";
    case REASON_NOT_ALLOWED:
        return "not-allowed";
    case REASON_LIMIT:
        return "limit";
    case REASON_EXPIRED:
        return "expired";
    case REASON_TLS_REQUIRED:
        return "tls-required";
    case REASON_SERVER_BUG:
        return "server-bug";
    case REASON_UNAVAILABLE:
    case REASON_EARLY:
    case REASON_TOO_MANY:
    case REASON_TIMEOUT:
    case REASON_SHUTDOWN:
    case REASON_KICKED:
    case REASON_CERTIFICATE:
    case REASON_COUNT:
        break;
    }
    return "unavailable";
}

void
reply_push(lua_State *L, const struct session *s)
{
    lua_newtable(L);
    set_text(L, "text", s->login->dialog.reply.text);
    set_string(L, "reason", reason_label(s->login->dialog.reply.reason));
}

void
summary_push(lua_State *L, const struct session *s)
{
    lua_newtable(L);
    set_string(L, "reason", end_name(s->end));
    set_string(L, "phase", phase_name(s->end_phase));
    set_string(L, "user", s->record.user);
    set_string(L, "policy", s->record.policy);
    set_string(L, "upstream", s->record.upstream);
    set_string(L, "pool", s->record.pool);
    set_string(L, "mechanism", s->record.mechanism);
    set_string(L, "log", s->record.log);
    set_number(L, "attempts", s->attempts);
    set_number(L, "bytes_up", (double)s->up.bytes);
    set_number(L, "bytes_down", (double)s->down.bytes);
    set_number(L, "seconds", ev_now(s->home->loop) - s->began);
}
