/* credentials_object.c -- what the client logs in with. */
#include "base/counters.h"
#include "base/digest.h"
#include "base/slice.h"
#include "lua/call.h"
#include "lua/envelope_object.h"
#include "lua/objects.h"
#include "lua/retained.h"
#include "lua/secret.h"

#include <lauxlib.h>
#include <string.h>

#define SECRET 0 /* in the table of the hook's objects: no argument */

/* `session` is NULL when the decision is taken.  The Secret that was handed
 * out is in the environment of the userdata, at 0. */
struct credentials_object {
    struct session *session;
};

static struct session *
check_session(lua_State *L, int index)
{
    struct credentials_object *o = object_check(L, index, OBJECT_CREDENTIALS);

    if (o->session == NULL)
        luaL_error(L, "the credentials were wiped when the decision was taken");
    return o->session;
}

const struct credentials *
object_credentials(lua_State *L, int index)
{
    return &check_session(L, index)->login->dialog.credentials;
}

/* One Secret for all uses, so that it can be wiped. */
static int
push_secret(lua_State *L, const struct credentials *c)
{
    lua_getfenv(L, 1);
    lua_rawgeti(L, -1, SECRET);
    if (!lua_isnil(L, -1))
        return 1;
    lua_pop(L, 1);
    secret_push(L, c->password.bytes);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, SECRET);
    return 1;
}

static bool
has_token(const struct credentials *c)
{
    return c->mechanism == MECHANISM_OAUTHBEARER ||
           c->mechanism == MECHANISM_XOAUTH2;
}

static bool
has_digest(const struct credentials *c)
{
    return c->mechanism == MECHANISM_CRAM_MD5 || c->mechanism == MECHANISM_APOP;
}

static bool
has_password(const struct credentials *c)
{
    return c->mechanism == MECHANISM_PLAIN || c->mechanism == MECHANISM_LOGIN;
}

/* (secret): whether the client knew it. CRAM-MD5 (RFC 2195), APOP (RFC 1939).
 * The comparison ignores the case of hexadecimal digits. */
static int
verify_cram(lua_State *L)
{
    const struct session *s = check_session(L, 1);
    const struct credentials *c = &s->login->dialog.credentials;
    struct slice secret, salt = s->login->dialog.salt;
    char wanted[32], given[32];
    bool ok;

    if (!secret_or_string(L, 2, &secret))
        return luaL_argerror(L, 2, "a secret or a string expected");
    if (!has_digest(c))
        return luaL_error(L, "verify_cram: the mechanism is %s",
                          mechanism_name(c->mechanism));
    ok = c->mechanism == MECHANISM_APOP ? digest_md5(salt, secret, wanted)
                                        : digest_hmac_md5(secret, salt, wanted);
    if (!ok || c->response.len != sizeof given) {
        lua_pushboolean(L, 0);
        return 1;
    }
    for (size_t i = 0; i < sizeof given; i++)
        given[i] = ascii_lower(c->response.ptr[i]);
    lua_pushboolean(L, digest_equal((struct slice){wanted, sizeof wanted},
                                    (struct slice){given, sizeof given}));
    explicit_bzero(wanted, sizeof wanted);
    return 1;
}

/* (seconds): the password or token, which outlives the decision by so much.
 * What is handed out later is wiped with the decision again. */
static int
retain(lua_State *L)
{
    const struct credentials *c = object_credentials(L, 1);
    const struct vm *vm = vm_of(L);
    double seconds = luaL_checknumber(L, 2);

    if (!(seconds > 0 && seconds <= RETAINED_SECONDS_MAX))
        return luaL_argerror(L, 2, "up to 60 seconds");
    if (!has_password(c) && !has_token(c)) {
        lua_pushnil(L);
        return 1;
    }
    (void)push_secret(L, c);
    retained_keep(L, lua_gettop(L), seconds);
    lua_getfenv(L, 1);
    lua_pushnil(L);
    lua_rawseti(L, -2, SECRET);
    lua_pop(L, 1);
    counters_count(vm_counters(vm), "secrets_retained_total{policy=\"%s\"}",
                   vm->running != NULL ? vm->running->policy : "");
    return 1;
}

static int
push_slice(lua_State *L, struct slice text, bool there)
{
    if (there)
        lua_pushlstring(L, text.ptr != NULL ? text.ptr : "", text.len);
    else
        lua_pushnil(L);
    return 1;
}

static const char *const fields[] = {
    "mechanism", "user",     "authzid",     "password", "token",
    "challenge", "response", "verify_cram", "retain",   NULL,
};

const char *
credentials_object_name(size_t i)
{
    return fields[i];
}

static int
index_credentials(lua_State *L)
{
    const struct session *s = check_session(L, 1);
    const struct credentials *c = &s->login->dialog.credentials;
    const char *name = luaL_checkstring(L, 2);

    if (strcmp(name, "mechanism") == 0) {
        lua_pushstring(L, mechanism_name(c->mechanism));
        return 1;
    }
    if (strcmp(name, "user") == 0)
        return push_slice(L, c->user, true);
    if (strcmp(name, "authzid") == 0)
        return push_slice(L, c->authzid, c->authzid.len > 0);
    if (strcmp(name, "challenge") == 0)
        return push_slice(L, s->login->dialog.salt, has_digest(c));
    if (strcmp(name, "response") == 0)
        return push_slice(L, c->response, has_digest(c));
    if ((strcmp(name, "password") == 0 && has_password(c)) ||
        (strcmp(name, "token") == 0 && has_token(c)))
        return push_secret(L, c);
    if (strcmp(name, "password") == 0 || strcmp(name, "token") == 0) {
        lua_pushnil(L);
        return 1;
    }
    if (strcmp(name, "verify_cram") == 0) {
        lua_pushcfunction(L, verify_cram);
        return 1;
    }
    if (strcmp(name, "retain") == 0) {
        lua_pushcfunction(L, retain);
        return 1;
    }
    return object_unknown(L, "credentials", name, fields);
}

static int
refuse_change(lua_State *L)
{
    return luaL_error(L, "credentials are read-only");
}

static int
describe(lua_State *L)
{
    lua_pushliteral(L, "credentials");
    return 1;
}

static const luaL_Reg events[] = {
    {"__index", index_credentials},
    {"__newindex", refuse_change},
    {"__tostring", describe},
    {NULL, NULL},
};

void
credentials_object_push(lua_State *L, struct session *s, int objects)
{
    struct credentials_object *o = lua_newuserdata(L, sizeof *o);

    o->session = s;
    object_become(L, OBJECT_CREDENTIALS, events, NULL);
    lua_pushvalue(L, objects);
    (void)lua_setfenv(L, -2);
}

void
credentials_object_expire(lua_State *L, int index)
{
    struct credentials_object *o = object_test(L, index, OBJECT_CREDENTIALS);

    if (o == NULL)
        return;
    o->session = NULL;
    lua_getfenv(L, index);
    lua_rawgeti(L, -1, SECRET);
    secret_wipe(L, -1);
    lua_pop(L, 2);
}
