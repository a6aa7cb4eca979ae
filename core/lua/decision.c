#include "lua/decision.h"

#include "base/slice.h"
#include "lua/decision_option.h"
#include "lua/objects.h"
#include "lua/trace.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 30 /* of one kind: their places make a set */

#define AT(member) offsetof(struct decision, member)

static const struct option accept_options[] = {
    {"user", OPTION_NAME, AT(user)}, {"upstream", OPTION_UPSTREAM, 0},
    {"pool", OPTION_POOL, 0},        {"upstream_auth", OPTION_LOGIN, 0},
    {"vars", OPTION_VARS, 0},        {"log", OPTION_LOG, AT(log)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option reject_options[] = {
    {"reason", OPTION_TEXT, AT(reason)},
    {"text", OPTION_TEXT, AT(text)},
    {"code", OPTION_CODE, AT(code)},
    {"enhanced", OPTION_ENHANCED, AT(enhanced)},
    {"delay", OPTION_SECONDS, AT(delay)},
    {"close", OPTION_FLAG, AT(close)},
    {"sasl", OPTION_SASL, AT(sasl)},
    {"log", OPTION_LOG, AT(log)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option tempfail_options[] = {
    {"log", OPTION_LOG, AT(log)},
    {"text", OPTION_TEXT, AT(text)},
    {"code", OPTION_CODE, AT(code)},
    {"enhanced", OPTION_ENHANCED, AT(enhanced)},
    {"delay", OPTION_SECONDS, AT(delay)},
    {"close", OPTION_FLAG, AT(close)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option wait_options[] = {
    {"seconds", OPTION_SECONDS, AT(delay)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option to_options[] = {
    {"address", OPTION_UPSTREAM, 0},
    {"pool", OPTION_POOL, 0},
    {"key", OPTION_POOL_KEY, 0},
    {"host", OPTION_HOST, 0},
    {"port", OPTION_PORT, 0},
    {"tls", OPTION_TLS, 0},
    {"profile", OPTION_PROFILE, 0},
    {"pin", OPTION_PIN, 0},
    {"verify", OPTION_VERIFY, 0}, /* behind `pin`, on which it depends */
    {"server_name", OPTION_SERVER_NAME, 0},
    {"proxy_protocol", OPTION_PROXY_PROTOCOL, 0},
    {"trusted", OPTION_TRUSTED, 0},
    {"source", OPTION_SOURCE, 0},
    {"fallback", OPTION_FALLBACK, 0},
    {"connect_timeout", OPTION_CONNECT_TIMEOUT, 0},
    {NULL, OPTION_COUNT, 0},
};

static const struct option retry_options[] = {
    {"upstream", OPTION_UPSTREAM, 0},
    {NULL, OPTION_COUNT, 0},
};

static const struct option login_options[] = {
    {"mechanism", OPTION_MECHANISM, 0},
    {"user", OPTION_NAME, AT(login_user)},
    {"password", OPTION_SECRET, AT(password)},
    {"token", OPTION_TOKEN, AT(token)},
    {"authzid", OPTION_NAME, AT(authzid)},
    {"xclient", OPTION_XCLIENT, 0},
    {"none", OPTION_FLAG, AT(none)},
    {"pass_error_message", OPTION_FLAG, AT(pass_error_message)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option certificate_options[] = {
    {"name", OPTION_NAME, AT(certificate)},
    {NULL, OPTION_COUNT, 0},
};

static const struct option verifier_options[] = {
    {"stored", OPTION_SECRET, AT(stored)},
    {"iterations", OPTION_ITERATIONS, 0},
    {"salt", OPTION_SECRET, AT(salt)},
    {"stored_key", OPTION_SECRET, AT(stored_key)},
    {"server_key", OPTION_SECRET, AT(server_key)},
    {NULL, OPTION_COUNT, 0},
};

#define COUNT(options) ((int)(sizeof(options) / sizeof *(options)) - 1)
#define HEAD           AT(target)
#define TARGET         AT(fallback)
#define EVERYTHING     sizeof(struct decision)

static const struct {
    const char *name;
    const struct option *options;
    int count;
    size_t size; /* of the decision */
} kinds[] = {
    [VERDICT_ACCEPT] = {"accept", accept_options, COUNT(accept_options),
                        TARGET},
    [VERDICT_REJECT] = {"reject", reject_options, COUNT(reject_options), HEAD},
    [VERDICT_TEMPFAIL] = {"tempfail", tempfail_options, COUNT(tempfail_options),
                          HEAD},
    [VERDICT_WAIT] = {"wait", wait_options, COUNT(wait_options), HEAD},
    [VERDICT_TO] = {"to", to_options, COUNT(to_options), EVERYTHING},
    [VERDICT_RETRY] = {"retry", retry_options, COUNT(retry_options), TARGET},
    [VERDICT_LOGIN] = {"login", login_options, COUNT(login_options), HEAD},
    [VERDICT_CERTIFICATE] = {"certificate", certificate_options,
                             COUNT(certificate_options), HEAD},
    [VERDICT_VERIFIER] = {"verifier", verifier_options, COUNT(verifier_options),
                          EVERYTHING},
};

static void
refuse(lua_State *L, enum verdict_kind kind, const char *name)
{
    const char *names[OPTIONS_MAX + 1];
    size_t n = 0;

    for (const struct option *o = kinds[kind].options; o->name != NULL; o++)
        names[n++] = o->name;
    names[n] = NULL;
    object_unknown(L, kinds[kind].name, name, names);
}

/* The option called `name`; raises if there is none. */
static const struct option *
find_option(lua_State *L, enum verdict_kind kind, const char *name)
{
    const struct option *o = kinds[kind].options;

    while (o->name != NULL && strcmp(o->name, name) != 0)
        o++;
    if (o->name == NULL)
        refuse(L, kind, name);
    return o;
}

/* Where the environment of a decision has the value of an option. */
static int
place_of(enum verdict_kind kind, const struct option *o)
{
    return (int)(o - kinds[kind].options) + 1;
}

/* Puts what the table at 1 holds where it belongs in the environment on the
 * top; the set of these places. */
static unsigned
find_given(lua_State *L, enum verdict_kind kind)
{
    unsigned given = 0;

    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: options have names: { reason = ... }",
                       kinds[kind].name);
        int place = place_of(kind, find_option(L, kind, lua_tostring(L, -2)));
        given |= 1U << place;
        lua_rawseti(L, -3, place);
    }
    return given;
}

static int
describe(lua_State *L)
{
    const struct decision *d = object_check(L, 1, OBJECT_DECISION);

    (void)lua_pushfstring(L, "decision: %s", kinds[d->kind].name);
    return 1;
}

static int
refuse_change(lua_State *L)
{
    return luaL_error(L, "a decision can't be changed: make another");
}

static int
refuse_reading(lua_State *L)
{
    return luaL_error(L, "a decision has no fields: it is for the gateway");
}

static const luaL_Reg events[] = {
    {"__tostring", describe},
    {"__newindex", refuse_change},
    {"__index", refuse_reading},
    {NULL, NULL},
};

/* 0 where nothing is known of it: behind a tail call. */
static int
line_of_caller(lua_State *L)
{
    lua_Debug d;

    if (lua_getstack(L, 1, &d) == 0 || lua_getinfo(L, "l", &d) == 0)
        return 0;
    return d.currentline > 0 ? d.currentline : 0;
}

struct decision *
decision_begin(lua_State *L, enum verdict_kind kind)
{
    struct decision *d = lua_newuserdata(L, kinds[kind].size);

    memset(d, 0, kinds[kind].size);
    d->kind = kind;
    d->xclient = -1;
    object_become(L, OBJECT_DECISION, events, NULL);
    lua_createtable(L, kinds[kind].count, 0);
    return d;
}

/* Slices of the decision point into strings and secrets; they live as long as
 * it does, in its environment. */
static void
take_option(lua_State *L, struct decision *d, const struct option *o)
{
    struct reading r = {L, kinds[d->kind].name, o->name, d};
    int place = place_of(d->kind, o);

    decision_read_option(&r, o);
    if (o->kind == OPTION_VARS)
        d->vars = place;
    lua_rawseti(L, -2, place);
}

void
decision_take(lua_State *L, struct decision *d, const char *name)
{
    take_option(L, d, find_option(L, d->kind, name));
}

void
decision_end(lua_State *L)
{
    (void)lua_setfenv(L, -2);
}

/* They are read in the order of `options`, not of the table. */
static int
make(lua_State *L, enum verdict_kind kind)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    if (!lua_istable(L, 1))
        return luaL_error(L, "%s: a table of options expected, not a %s",
                          kinds[kind].name, luaL_typename(L, 1));
    struct decision *d = decision_begin(L, kind);
    unsigned given = find_given(L, kind);
    if (trace_is_on())
        d->where = line_of_caller(L);
    for (int place = 1; given >> place != 0; place++) {
        if ((given >> place & 1U) == 0)
            continue;
        lua_rawgeti(L, -1, place);
        take_option(L, d, &kinds[kind].options[place - 1]);
    }
    decision_end(L);
    return 1;
}

int
decision_accept(lua_State *L)
{
    return make(L, VERDICT_ACCEPT);
}

int
decision_reject(lua_State *L)
{
    return make(L, VERDICT_REJECT);
}

int
decision_tempfail(lua_State *L)
{
    return make(L, VERDICT_TEMPFAIL);
}

int
decision_wait(lua_State *L)
{
    (void)make(L, VERDICT_WAIT);
    struct decision *d = lua_touserdata(L, -1);
    if (d->delay <= 0)
        d->delay = 1; /* an endless quick loop is no wait */
    return 1;
}

/* How the members of a pool are spoken to is the pool's own. */
static void
refuse_settings(lua_State *L)
{
    for (const struct option *o = to_options; o->name != NULL; o++) {
        if (o->kind == OPTION_UPSTREAM || o->kind == OPTION_POOL ||
            o->kind == OPTION_POOL_KEY || o->kind == OPTION_FALLBACK)
            continue;
        lua_getfield(L, 1, o->name);
        if (!lua_isnil(L, -1))
            luaL_error(L,
                       "to: %s: it does not go with a pool, which has its "
                       "own settings",
                       o->name);
        lua_pop(L, 1);
    }
}

int
decision_to(lua_State *L)
{
    (void)make(L, VERDICT_TO);
    struct decision *d = lua_touserdata(L, -1);
    if (!d->has_target)
        return luaL_error(L, "to: `address`, `host` or `pool` is missing");
    if (d->target.pool.len > 0)
        refuse_settings(L);
    d->target.bare = false; /* its own options say how */
    return 1;
}

int
decision_retry(lua_State *L)
{
    return make(L, VERDICT_RETRY);
}

int
decision_login(lua_State *L)
{
    (void)make(L, VERDICT_LOGIN);
    struct decision *d = lua_touserdata(L, -1);
    d->has_login = true;
    return 1;
}

int
decision_certificate(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "certificate: a name expected, not a %s",
                          luaL_typename(L, 1));
    lua_settop(L, 1);
    lua_newtable(L);
    lua_insert(L, 1);
    lua_setfield(L, 1, "name");
    return make(L, VERDICT_CERTIFICATE);
}

/* One text, or the four columns that some databases have it in. */
static bool
read_verifier(struct decision *d)
{
    bool in_parts = d->iterations > 0 || d->salt.ptr != NULL ||
                    d->stored_key.ptr != NULL || d->server_key.ptr != NULL;
    char digits[16];
    int len = snprintf(digits, sizeof digits, "%.0f", d->iterations);

    if (d->stored.ptr != NULL)
        return !in_parts && scram_verifier_parse(d->stored, &d->verifier);
    struct scram_parts parts = {
        .iterations = {digits, (size_t)len},
        .salt = d->salt,
        .stored_key = d->stored_key,
        .server_key = d->server_key,
    };
    return scram_verifier_read(&parts, &d->verifier);
}

int
decision_verifier(lua_State *L)
{
    (void)make(L, VERDICT_VERIFIER);
    if (!read_verifier(lua_touserdata(L, -1)))
        return luaL_error(L, "verifier: it is none: `stored`, or `iterations`, "
                             "`salt`, `stored_key` and `server_key` expected");
    return 1;
}

const struct decision *
decision_test(lua_State *L, int index)
{
    return object_test(L, index, OBJECT_DECISION);
}

void
decision_push_options(lua_State *L, int index)
{
    const struct decision *d = decision_test(L, index);
    const struct option *options = kinds[d->kind].options;

    lua_newtable(L);
    lua_getfenv(L, index);
    for (const struct option *o = options; o->name != NULL; o++) {
        lua_rawgeti(L, -1, place_of(d->kind, o));
        lua_setfield(L, -3, o->name);
    }
    lua_pop(L, 1);
}

const char *
decision_name(enum verdict_kind kind)
{
    return kind >= VERDICT_ACCEPT ? kinds[kind].name : "nil";
}

const char *
decision_option(enum verdict_kind kind, size_t i)
{
    return kinds[kind].options[i].name;
}
