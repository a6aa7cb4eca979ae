#include "lua/auth_tls.h"

#include "base/check.h"
#include "base/slice.h"
#include "lua/target.h"
#include "net/stream_tls.h"
#include "net/tls_foreign.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN 255

void
auth_tls_init(struct auth_tls *t)
{
    *t = (struct auth_tls){.profile = xstrndup("", 0),
                           .server_name = xstrndup("", 0),
                           .verify = TLS_VERIFY_FULL};
}

void
auth_tls_deinit(struct auth_tls *t)
{
    free(t->profile);
    free(t->server_name);
    *t = (struct auth_tls){0};
}

static void
add_pin(const struct options *o, struct auth_tls *t)
{
    lua_State *L = o->L;
    struct slice text = {"", 0};

    if (lua_type(L, -1) == LUA_TSTRING)
        text.ptr = lua_tolstring(L, -1, &text.len);
    if (t->pin_count == TARGET_PINS_MAX)
        (void)luaL_error(L, "%s: pin: at most %d", o->what, TARGET_PINS_MAX);
    if (!target_parse_pin(text, t->pins[t->pin_count]))
        (void)luaL_error(
            L, "%s: pin: \"sha256/\" and 44 digits of base64 expected",
            o->what);
    t->pin_count++;
}

/* One, or a list. */
static void
read_pins(const struct options *o, struct auth_tls *t)
{
    lua_State *L = o->L;
    int top = lua_gettop(L);

    if (!option_push(o, "pin")) {
        lua_settop(L, top);
        return;
    }
    if (lua_istable(L, top + 1)) {
        options_thaw(L, top + 1);
        for (int i = 1; i <= (int)lua_objlen(L, top + 1); i++) {
            lua_rawgeti(L, top + 1, i);
            add_pin(o, t);
            lua_pop(L, 1);
        }
    } else {
        add_pin(o, t);
    }
    lua_settop(L, top);
}

static void
read_text(const struct options *o, const char *name, char **text)
{
    struct slice given;

    if (!option_push(o, name)) {
        lua_pop(o->L, 1);
        return;
    }
    if (lua_type(o->L, -1) != LUA_TSTRING)
        (void)luaL_error(o->L, "%s: %s must be a string", o->what, name);
    given.ptr = lua_tolstring(o->L, -1, &given.len);
    if (given.len == 0 || given.len > NAME_MAX_LEN || has_control(given))
        (void)luaL_error(o->L, "%s: %s: a name is expected", o->what, name);
    free(*text);
    *text = xstrndup(given.ptr, given.len);
    lua_pop(o->L, 1);
}

/* Alone `verify = false` trusts whoever answers; with a pin, its key. */
void
auth_tls_read(const struct options *o, struct auth_tls *t)
{
    read_text(o, "profile", &t->profile);
    read_text(o, "server_name", &t->server_name);
    read_pins(o, t);
    if (!option_bool(o, "verify", true))
        t->verify = t->pin_count > 0 ? TLS_VERIFY_PIN : TLS_VERIFY_NONE;
}

void
auth_tls_name(struct auth_tls *t, const char *profile, const char *server_name)
{
    free(t->profile);
    free(t->server_name);
    t->profile = xstrndup(profile, strlen(profile));
    t->server_name = xstrndup(server_name, strlen(server_name));
}

/* Looked up each time: certificates may have been renewed. */
static struct tls_client_context *
context_of(const struct auth_tls *t)
{
    if (t->config == NULL)
        return NULL;
    return config_tls_profile(t->config, slice_of(t->profile));
}

bool
auth_tls_is_ready(const struct auth_tls *t)
{
    return context_of(t) != NULL;
}

void
auth_tls_require(lua_State *L, const struct auth_tls *t, const char *what)
{
    if (!auth_tls_is_ready(t))
        (void)luaL_error(L,
                         "%s: the configuration's tls_profiles has no \"%s\"",
                         what, *t->profile != '\0' ? t->profile : "default");
}

void
auth_tls_describe(const struct auth_tls *t, struct buf *out)
{
    const struct tls_profile *profile =
        t->config != NULL ? config_find_profile(t->config, slice_of(t->profile))
                          : NULL;
    struct slice pins = {(const char *)t->pins, t->pin_count * TLS_PIN_SIZE};
    unsigned char digest[TLS_IDENTITY_DIGEST];
    struct slice shown = {(const char *)digest, 0};

    if (t->identity != NULL) {
        tls_identity_digest(t->identity, digest);
        shown.len = sizeof digest;
    }
    bool ok =
        buf_printf(out, "%d %s\n%.*s\n%zu\n", (int)t->verify, t->server_name,
                   profile != NULL ? (int)sizeof profile->digest : 0,
                   profile != NULL ? profile->digest : "", shown.len) &&
        buf_append(out, shown) && buf_append(out, pins);

    require(ok); /* all of it is bounded */
}

/* `place` must outlive the target. */
static struct tls_target
target_of(const struct auth_tls *t, const char *host, struct slice place)
{
    bool named = *t->server_name != '\0';

    return (struct tls_target){
        .verify = t->verify,
        .name = slice_of(named ? t->server_name : host),
        .pins = t->pins,
        .pin_count = t->pin_count,
        .place = place,
        .identity = t->identity,
    };
}

bool
auth_tls_start(const struct auth_tls *t, const char *host, uint16_t port,
               struct stream *stream)
{
    struct tls_client_context *context = context_of(t);
    char place[300];

    int len = snprintf(place, sizeof place, "%s:%u", host, port);
    struct tls_target target =
        target_of(t, host, (struct slice){place, (size_t)len});
    return context != NULL && stream_start_tls_client(stream, context, &target);
}

bool
auth_tls_check(const struct auth_tls *t, const char *host, struct ssl_st *ssl,
               struct error *err)
{
    const struct tls_client_context *context = context_of(t);
    struct tls_target target = target_of(t, host, (struct slice){"", 0});

    if (context == NULL)
        return error_set(err, "the profile is gone");
    return tls_foreign_check(ssl, context, &target, err);
}
