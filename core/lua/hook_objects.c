/* hook_objects.c -- what each hook is called with. */
#include "lua/envelope_object.h"
#include "lua/hook_run.h"
#include "lua/session_object.h"

#define ARGUMENTS_MAX 3 /* of a hook */

static void
add(lua_State *L, int table, int *count)
{
    lua_rawseti(L, table, ++*count);
}

/* What stands behind the session. */
static void
push_more(lua_State *L, struct hook_run *run, int table, int *count)
{
    struct session *s = run->session;

    switch (run->hook) {
    case HOOK_AUTH:
        credentials_object_push(L, s, table);
        add(L, table, count);
        break;
    case HOOK_VERIFIER:
        verifier_request_push(L, s);
        add(L, table, count);
        break;
    case HOOK_MAIL:
        envelope_push(L, s->login->dialog.envelope.mail);
        add(L, table, count);
        break;
    case HOOK_RCPT:
        envelope_push(L, s->login->dialog.envelope.rcpt);
        add(L, table, count);
        break;
    case HOOK_CONNECT_FAILED:
        upstream_push(L, s);
        add(L, table, count);
        lua_pushlstring(L, s->login->failure.ptr ? s->login->failure.ptr : "",
                        s->login->failure.len);
        add(L, table, count);
        break;
    case HOOK_UPSTREAM_AUTH:
        upstream_push(L, s);
        add(L, table, count);
        break;
    case HOOK_UPSTREAM_REFUSED:
        reply_push(L, s);
        add(L, table, count);
        break;
    case HOOK_CERTIFICATE:
    case HOOK_CONNECT:
    case HOOK_SECURED:
    case HOOK_HELO:
    case HOOK_ROUTE:
    case HOOK_SPLICED:
    case HOOK_REFUSED: /* theirs are added where the session still is */
    case HOOK_CLOSED:
    case HOOK_COUNT:
        break;
    }
}

void
hook_push_objects(lua_State *L, struct hook_run *run, int *count)
{
    lua_createtable(L, ARGUMENTS_MAX, 0);
    int table = lua_gettop(L);

    *count = 0;
    session_object_push(L, run->session);
    add(L, table, count);
    push_more(L, run, table, count);
}

void
hook_expire_objects(lua_State *L)
{
    int table = lua_gettop(L);

    for (int i = 1; i <= (int)lua_objlen(L, table); i++) {
        lua_rawgeti(L, table, i);
        session_object_expire(L, lua_gettop(L));
        lua_pop(L, 1);
    }
}
