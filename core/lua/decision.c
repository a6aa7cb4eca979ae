#include "lua/decision.h"

#include "base/base64.h"
#include "base/json_writer.h"
#include "base/slice.h"
#include "lua/objects.h"
#include "lua/pool_object.h"
#include "lua/secret.h"
#include "lua/target.h"
#include "lua/trace.h"
#include "proto/sasl_token.h"
#include "session/session.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX  400
#define DELAY_MAX 60.
#define SASL_MAX  1024

#define OPTIONS_MAX 31 /* of one kind: they make a set */

/* How the value of an option is read. */
enum option_kind {
    OPTION_TEXT,    /* told to clients: one line of at most 400 bytes */
    OPTION_LOG,     /* text that is only logged: any bytes, cut */
    OPTION_NAME,    /* a user: one line of at most CREDENTIAL_MAX bytes */
    OPTION_SECRET,  /* a Secret or text */
    OPTION_TOKEN,   /* a Secret or text, of what a token is made of */
    OPTION_SECONDS, /* a delay */
    OPTION_FLAG,
    OPTION_CODE,     /* "535" or "535 5.7.8" */
    OPTION_ENHANCED, /* "5.7.8" */
    OPTION_SASL,     /* JSON, or a table of what it says */
    OPTION_UPSTREAM, /* "host:port", "pool:NAME" or a `to` */
    OPTION_POOL,     /* the NAME alone */
    OPTION_POOL_KEY,
    OPTION_FALLBACK,
    OPTION_HOST,
    OPTION_PORT,
    OPTION_TLS,
    OPTION_PROFILE,
    OPTION_VERIFY,
    OPTION_SERVER_NAME,
    OPTION_PIN,
    OPTION_PROXY_PROTOCOL,
    OPTION_TRUSTED,
    OPTION_SOURCE,
    OPTION_CONNECT_TIMEOUT,
    OPTION_MECHANISM,
    OPTION_LOGIN, /* a `login`, or "passthrough" */
    OPTION_XCLIENT,
    OPTION_ITERATIONS,
    OPTION_VARS,
    OPTION_COUNT,
};

struct option {
    const char *name;
    enum option_kind kind;
    size_t offset; /* in struct decision, where the kind does not say */
};

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

static const struct {
    const char *name;
    const struct option *options;
} kinds[] = {
    [VERDICT_ACCEPT] = {"accept", accept_options},
    [VERDICT_REJECT] = {"reject", reject_options},
    [VERDICT_TEMPFAIL] = {"tempfail", tempfail_options},
    [VERDICT_WAIT] = {"wait", wait_options},
    [VERDICT_TO] = {"to", to_options},
    [VERDICT_RETRY] = {"retry", retry_options},
    [VERDICT_LOGIN] = {"login", login_options},
    [VERDICT_CERTIFICATE] = {"certificate", certificate_options},
    [VERDICT_VERIFIER] = {"verifier", verifier_options},
};

/* The option being read: its value is at the top of the stack. */
struct reading {
    lua_State *L;
    const char *what; /* "reject" */
    const char *name; /* "text" */
    struct decision *d;
};

static int
wrong(const struct reading *r, const char *expected)
{
    return luaL_error(r->L, "%s: %s: %s expected, not a %s", r->what, r->name,
                      expected, luaL_typename(r->L, -1));
}

static struct slice
read_line(const struct reading *r, size_t max)
{
    struct slice text;

    if (lua_type(r->L, -1) != LUA_TSTRING)
        wrong(r, "text");
    text.ptr = lua_tolstring(r->L, -1, &text.len);
    if (text.len > max)
        luaL_error(r->L, "%s: %s: more than %d bytes", r->what, r->name,
                   (int)max);
    if (has_control(text))
        luaL_error(r->L, "%s: %s: control characters are not allowed", r->what,
                   r->name);
    return text;
}

static struct slice
read_log(const struct reading *r)
{
    struct slice text;

    if (object_test(r->L, -1, OBJECT_SECRET) != NULL)
        wrong(r, "text");
    if (luaL_callmeta(r->L, -1, "__tostring") != 0)
        lua_replace(r->L, -2); /* error objects of the modules */
    if (lua_type(r->L, -1) != LUA_TSTRING)
        wrong(r, "text");
    text.ptr = lua_tolstring(r->L, -1, &text.len);
    return slice_take(text, TEXT_MAX);
}

static struct slice
read_secret(const struct reading *r)
{
    struct slice bytes;

    if (!secret_or_string(r->L, -1, &bytes))
        wrong(r, "a secret or text");
    if (bytes.len > CREDENTIAL_MAX)
        luaL_error(r->L, "%s: %s: more than %d bytes", r->what, r->name,
                   CREDENTIAL_MAX);
    if (has_control(bytes))
        luaL_error(r->L, "%s: %s: control characters are not allowed", r->what,
                   r->name);
    return bytes;
}

static struct slice
read_token(const struct reading *r)
{
    struct slice bytes;

    if (!secret_or_string(r->L, -1, &bytes))
        wrong(r, "a secret or text");
    /* One that was wiped is nothing but NULs, and found when it is used. */
    bool wiped = bytes.len > 0 && bytes.ptr[0] == '\0';
    if (bytes.len == 0 || (!wiped && !token_is_sane(bytes)))
        luaL_error(r->L, "%s: %s: not a token of at most %d bytes", r->what,
                   r->name, (int)TOKEN_MAX);
    return bytes;
}

/* What is said about a refused token (RFC 7628 3.2.2). */
static const struct {
    const char *name, *member;
} denial_members[] = {
    {"status", "status"},
    {"schemes", "schemes"},
    {"scope", "scope"},
    {"openid_configuration", "openid-configuration"},
};

#define DENIAL_MEMBERS (sizeof denial_members / sizeof denial_members[0])

static void
check_denial_names(const struct reading *r)
{
    const char *names[DENIAL_MEMBERS + 1] = {NULL};

    for (size_t i = 0; i < DENIAL_MEMBERS; i++)
        names[i] = denial_members[i].name;
    lua_pushnil(r->L);
    while (lua_next(r->L, -2) != 0) {
        bool known = false;
        const char *name =
            lua_type(r->L, -2) == LUA_TSTRING ? lua_tostring(r->L, -2) : "";
        for (size_t i = 0; i < DENIAL_MEMBERS && !known; i++)
            known = strcmp(names[i], name) == 0;
        if (!known)
            object_unknown(r->L, "sasl", name, names);
        lua_pop(r->L, 1);
    }
}

/* Replaces the table on the top by its JSON. */
static void
encode_denial(const struct reading *r)
{
    int table = lua_gettop(r->L);
    struct buf out;
    struct json_writer w = {.out = &out};

    check_denial_names(r);
    /* All that may raise comes before the buffer is there. */
    for (size_t i = 0; i < DENIAL_MEMBERS; i++) {
        lua_getfield(r->L, table, denial_members[i].name);
        if (!lua_isnil(r->L, -1))
            (void)read_line(r, TEXT_MAX);
    }
    buf_init(&out, (size_t)2 * SASL_MAX);
    json_begin(&w, NULL, '{');
    for (size_t i = 0; i < DENIAL_MEMBERS; i++) {
        struct slice value;
        value.ptr = lua_tolstring(r->L, table + 1 + (int)i, &value.len);
        if (value.ptr != NULL)
            json_text(&w, denial_members[i].member, value);
    }
    json_end(&w, '}');
    lua_settop(r->L, table);
    lua_pushlstring(r->L, buf_bytes(&out).ptr, buf_len(&out));
    buf_deinit(&out);
    lua_replace(r->L, table);
}

static double
read_number(const struct reading *r, double min, double max)
{
    if (lua_type(r->L, -1) != LUA_TNUMBER)
        wrong(r, "a number");
    double value = lua_tonumber(r->L, -1);
    if (!(value >= min && value <= max))
        luaL_error(r->L, "%s: %s: a number from %f to %f expected", r->what,
                   r->name, min, max);
    return value;
}

static bool
read_flag(const struct reading *r)
{
    if (!lua_isboolean(r->L, -1))
        wrong(r, "true or false");
    return lua_toboolean(r->L, -1) != 0;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "5.7.8": a class, a subject, a detail. */
static bool
is_enhanced(struct slice s)
{
    struct slice class = slice_cut(&s, '.'), subject = slice_cut(&s, '.');

    if (class.len != 1 || strchr("245", class.ptr[0]) == NULL ||
        subject.len == 0 || subject.len > 3 || s.len == 0 || s.len > 3)
        return false;
    for (size_t i = 0; i < subject.len; i++) {
        if (!is_digit(subject.ptr[i]))
            return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return false;
    }
    return true;
}

static bool
is_code(struct slice s)
{
    if (s.len < 3 || (s.ptr[0] != '4' && s.ptr[0] != '5') ||
        !is_digit(s.ptr[1]) || !is_digit(s.ptr[2]))
        return false;
    if (s.len == 3)
        return true;
    return s.ptr[3] == ' ' && is_enhanced(slice_drop(s, 4));
}

static void
read_target(const struct reading *r, struct target *target, bool *has)
{
    const struct decision *to = decision_test(r->L, -1);
    struct error err;

    *has = true;
    if (to != NULL && to->kind == VERDICT_TO && to->has_target) {
        *target = to->target;
        return;
    }
    if (lua_type(r->L, -1) != LUA_TSTRING)
        wrong(r, "\"host:port\", \"pool:name\" or moongate.to{}");
    if (!target_parse(read_line(r, TEXT_MAX), target, &err))
        luaL_error(r->L, "%s: %s: %s", r->what, r->name, err.text);
    target->bare = target->pool.len == 0;
    if (target->pool.len > 0)
        pool_check(r->L, r->what, r->name, target->pool);
}

static void
read_pool(const struct reading *r)
{
    if (r->d->has_target)
        luaL_error(r->L, "%s: %s: there is an address already", r->what,
                   r->name);
    r->d->target.pool = read_line(r, TEXT_MAX);
    r->d->has_target = true;
    pool_check(r->L, r->what, r->name, r->d->target.pool);
}

static void
read_pool_key(const struct reading *r)
{
    struct slice key = read_line(r, CREDENTIAL_MAX);

    if (r->d->target.pool.len == 0)
        luaL_error(r->L, "%s: %s: it goes with `pool` only", r->what, r->name);
    r->d->target.pool_key = key;
}

static void
read_host(const struct reading *r)
{
    struct error err;

    if (!target_set_host(read_line(r, TEXT_MAX), &r->d->target, &err))
        luaL_error(r->L, "%s: %s: %s", r->what, r->name, err.text);
    r->d->has_target = true;
}

static void
read_source(const struct reading *r)
{
    struct slice text = read_line(r, TEXT_MAX);
    struct addr a;

    if (!addr_parse_ip(text, 0, &a))
        luaL_error(r->L, "%s: %s: \"%s\" is not an IP address", r->what,
                   r->name, text.ptr);
    r->d->target.source = text;
}

static void
read_mechanism(const struct reading *r)
{
    struct slice name = read_line(r, TEXT_MAX);

    if (!mechanism_find(name, &r->d->mechanism) ||
        mechanism_is_scram(r->d->mechanism))
        luaL_error(r->L, "%s: %s: unknown mechanism \"%s\"", r->what, r->name,
                   name.ptr);
}

static void
read_login(const struct reading *r)
{
    const struct decision *login = decision_test(r->L, -1);

    /* As the client has logged in, which is what happens anyway. */
    if (lua_type(r->L, -1) == LUA_TSTRING &&
        slice_equal(read_line(r, TEXT_MAX), S("passthrough")))
        return;
    if (login == NULL || login->kind != VERDICT_LOGIN) {
        wrong(r, "moongate.login{} or \"passthrough\"");
        return;
    }
    r->d->has_login = true;
    r->d->login_user = login->login_user;
    r->d->password = login->password;
    r->d->token = login->token;
    r->d->authzid = login->authzid;
    r->d->mechanism = login->mechanism;
    r->d->none = login->none;
    r->d->pass_error_message = login->pass_error_message;
    r->d->xclient = login->xclient;
}

static void
read_checked(const struct reading *r, struct slice *text,
             bool (*is_right)(struct slice), const char *expected)
{
    *text = read_line(r, TEXT_MAX);
    if (!is_right(*text))
        luaL_error(r->L, "%s: %s: %s expected, not \"%s\"", r->what, r->name,
                   expected, text->ptr);
}

/* "sha256/<base64>": the digest of the upstream's public key. */
static void
read_pin(const struct reading *r)
{
    struct target *t = &r->d->target;
    struct slice text = read_line(r, TEXT_MAX);

    if (t->pin_count == TARGET_PINS_MAX)
        luaL_error(r->L, "%s: %s: at most %d", r->what, r->name,
                   TARGET_PINS_MAX);
    if (!target_parse_pin(text, t->pins[t->pin_count]))
        luaL_error(r->L, "%s: %s: \"sha256/\" and 44 digits of base64 expected",
                   r->what, r->name);
    t->pin_count++;
}

/* One pin, or a list. */
static void
read_pins(const struct reading *r)
{
    if (!lua_istable(r->L, -1)) {
        read_pin(r);
        return;
    }
    for (int i = 1; i <= (int)lua_objlen(r->L, -1); i++) {
        lua_rawgeti(r->L, -1, i);
        read_pin(r);
        lua_pop(r->L, 1);
    }
}

static unsigned
read_proxy_version(const struct reading *r)
{
    struct slice text = read_line(r, TEXT_MAX);

    if (slice_equal(text, S("v1")))
        return 1;
    if (!slice_equal(text, S("v2")))
        luaL_error(r->L, "%s: %s: \"v1\" or \"v2\" expected", r->what, r->name);
    return 2;
}

/* The options of a target's TLS. */
static void
read_tls_option(const struct reading *r, enum option_kind kind)
{
    struct target *t = &r->d->target;

    if (kind == OPTION_PROFILE)
        t->tls_profile = read_line(r, TEXT_MAX);
    else if (kind == OPTION_SERVER_NAME)
        t->server_name = read_line(r, TEXT_MAX);
    else if (kind == OPTION_PIN)
        read_pins(r);
    else if (kind == OPTION_VERIFY && !read_flag(r))
        t->verify = t->pin_count > 0 ? TLS_VERIFY_PIN : TLS_VERIFY_NONE;
    else if (kind == OPTION_TLS &&
             !target_tls_mode(read_line(r, TEXT_MAX), &t->tls))
        luaL_error(r->L, "%s: %s: \"off\", \"starttls\" or \"implicit\"",
                   r->what, r->name);
}

/* The options of a target. */
static void
read_target_option(const struct reading *r, enum option_kind kind)
{
    struct decision *d = r->d;

    if (kind == OPTION_UPSTREAM)
        read_target(r, &d->target, &d->has_target);
    else if (kind == OPTION_FALLBACK)
        read_target(r, &d->fallback, &d->has_fallback);
    else if (kind == OPTION_POOL)
        read_pool(r);
    else if (kind == OPTION_POOL_KEY)
        read_pool_key(r);
    else if (kind == OPTION_HOST)
        read_host(r);
    else if (kind == OPTION_PORT)
        d->target.port = (uint16_t)read_number(r, 1, UINT16_MAX);
    else if (kind == OPTION_SOURCE)
        read_source(r);
    else if (kind == OPTION_CONNECT_TIMEOUT)
        d->target.connect_timeout = read_number(r, 0.001, 3600);
    else if (kind == OPTION_PROXY_PROTOCOL)
        d->target.proxy_protocol = read_proxy_version(r);
    else if (kind == OPTION_TRUSTED)
        d->target.distrusted = !read_flag(r);
    else
        read_tls_option(r, kind);
}

/* The options that are a text. */
static void
read_text_option(const struct reading *r, enum option_kind kind,
                 struct slice *text)
{
    if (kind == OPTION_LOG)
        *text = read_log(r);
    else if (kind == OPTION_SECRET)
        *text = read_secret(r);
    else if (kind == OPTION_TOKEN)
        *text = read_token(r);
    else if (kind == OPTION_CODE)
        read_checked(r, text, is_code, "a code such as \"535\"");
    else if (kind == OPTION_ENHANCED)
        read_checked(r, text, is_enhanced, "a code such as \"5.7.8\"");
    else
        *text = read_line(r, kind == OPTION_NAME   ? CREDENTIAL_MAX
                             : kind == OPTION_SASL ? SASL_MAX
                                                   : TEXT_MAX);
}

static void
read_option(const struct reading *r, const struct option *o)
{
    void *at = (char *)r->d + o->offset;

    switch (o->kind) {
    case OPTION_SASL:
        if (lua_istable(r->L, -1))
            encode_denial(r);
        read_text_option(r, o->kind, at);
        return;
    case OPTION_TEXT:
    case OPTION_NAME:
    case OPTION_LOG:
    case OPTION_SECRET:
    case OPTION_TOKEN:
    case OPTION_CODE:
    case OPTION_ENHANCED:
        read_text_option(r, o->kind, at);
        return;
    case OPTION_SECONDS:
        *(double *)at = read_number(r, 0, DELAY_MAX);
        return;
    case OPTION_FLAG:
        *(bool *)at = read_flag(r);
        return;
    case OPTION_MECHANISM:
        read_mechanism(r);
        return;
    case OPTION_LOGIN:
        read_login(r);
        return;
    case OPTION_XCLIENT:
        r->d->xclient = read_flag(r);
        return;
    case OPTION_ITERATIONS:
        r->d->iterations = read_number(r, 1, SCRAM_ITERATIONS_MAX);
        return;
    case OPTION_VARS:
        if (!lua_istable(r->L, -1))
            wrong(r, "a table");
        return;
    case OPTION_UPSTREAM:
    case OPTION_POOL:
    case OPTION_POOL_KEY:
    case OPTION_FALLBACK:
    case OPTION_HOST:
    case OPTION_PORT:
    case OPTION_TLS:
    case OPTION_PROFILE:
    case OPTION_VERIFY:
    case OPTION_SERVER_NAME:
    case OPTION_PIN:
    case OPTION_PROXY_PROTOCOL:
    case OPTION_TRUSTED:
    case OPTION_SOURCE:
    case OPTION_CONNECT_TIMEOUT:
        read_target_option(r, o->kind);
        return;
    case OPTION_COUNT:
        break;
    }
}

/* Slices of the decision point into strings and secrets; they live as long as
 * it does, in its environment. */
static void
anchor(lua_State *L, int environment, const char *name)
{
    lua_pushvalue(L, -1);
    lua_setfield(L, environment, name);
}

/* `given` is a set of positions.  They are read in the order of the table. */
static void
read_options(struct reading *r, const struct option *options, unsigned given,
             int environment)
{
    for (size_t i = 0; given >> i != 0; i++) {
        if ((given >> i & 1U) == 0)
            continue;
        r->name = options[i].name;
        lua_getfield(r->L, 1, r->name);
        read_option(r, &options[i]);
        anchor(r->L, environment, r->name);
        lua_pop(r->L, 1);
    }
}

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

/* The set of positions in `options` of what the table at 1 holds; raises for
 * what is not there. */
static unsigned
find_given(lua_State *L, enum verdict_kind kind)
{
    const struct option *options = kinds[kind].options;
    unsigned given = 0;

    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        size_t i = 0;
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "%s: options have names: { reason = ... }",
                       kinds[kind].name);
        const char *name = lua_tostring(L, -2);
        while (options[i].name != NULL && strcmp(options[i].name, name) != 0)
            i++;
        if (options[i].name == NULL)
            refuse(L, kind, name);
        given |= 1U << i;
        lua_pop(L, 1);
    }
    return given;
}

static int
describe(lua_State *L)
{
    const struct decision *d = luaL_checkudata(L, 1, OBJECT_DECISION);

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
    unsigned given = find_given(L, kind);

    struct decision *d = lua_newuserdata(L, sizeof *d);
    memset(d, 0, sizeof *d);
    d->kind = kind;
    d->xclient = -1;
    object_set_type(L, OBJECT_DECISION, events, NULL);
    if (trace_is_on())
        d->where = line_of_caller(L);
    lua_newtable(L);
    struct reading r = {L, kinds[kind].name, NULL, d};
    read_options(&r, kinds[kind].options, given, 3);
    (void)lua_setfenv(L, 2);
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
