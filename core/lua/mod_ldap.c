/* mod_ldap.c -- `moongate.ldap`: pool{...} gives a directory with bind(dn,
 * secret) and search{...}; escape_dn and escape_filter. */
#include "base/check.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/directory_object.h"
#include "lua/ldap_connection.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/secret.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

#define METATABLE     "moongate.ldap"
#define WHAT          "ldap.pool"
#define TEXT_MAX      8192 /* of a name or a filter */
#define ESCAPE_MAX    4096
#define TRACE_MAX     200
#define LIMIT_DEFAULT 100

/* --- the answer --- */

static void
push_values(lua_State *L, struct berval **values)
{
    lua_newtable(L);
    for (int i = 0; values != NULL && values[i] != NULL; i++) {
        lua_pushlstring(L, values[i]->bv_val, values[i]->bv_len);
        lua_rawseti(L, -2, i + 1);
    }
}

/* Names of attributes are told in lower case. */
static void
push_name(lua_State *L, const char *name)
{
    luaL_Buffer out;

    luaL_buffinit(L, &out);
    for (; *name != '\0'; name++)
        luaL_addchar(&out, ascii_lower(*name));
    luaL_pushresult(&out);
}

static void
push_attributes(lua_State *L, LDAP *ld, LDAPMessage *entry)
{
    BerElement *at = NULL;
    char *name = ldap_first_attribute(ld, entry, &at);

    lua_newtable(L);
    while (name != NULL) {
        struct berval **values = ldap_get_values_len(ld, entry, name);
        push_name(L, name);
        push_values(L, values);
        lua_rawset(L, -3);
        ldap_value_free_len(values);
        ldap_memfree(name);
        name = ldap_next_attribute(ld, entry, at);
    }
    ber_free(at, 0);
}

static void
push_entries(lua_State *L, const struct ldap_question *q)
{
    lua_createtable(L, (int)q->entry_count, 0);
    for (size_t i = 0; i < q->entry_count; i++) {
        char *dn = ldap_get_dn(q->ld, q->entries[i]);
        lua_newtable(L);
        lua_pushstring(L, dn);
        lua_setfield(L, -2, "dn");
        ldap_memfree(dn);
        push_attributes(L, q->ld, q->entries[i]);
        lua_setfield(L, -2, "attributes");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void
push(lua_State *L, struct directory_question *base)
{
    const struct ldap_question *q = ldap_question_of(base);

    if (directory_push_rehearsed(L, base))
        return;
    if (q->binds) {
        await_outcome(&base->ticket, "%s", q->bound ? "bound" : "not bound");
        lua_pushboolean(L, q->bound);
    } else {
        await_outcome(&base->ticket, "%zu entries", q->entry_count);
        push_entries(L, q);
    }
}

/* --- the questions --- */

/* A text without NUL, as libldap takes it. */
static bool
is_text(struct slice text)
{
    return text.len <= TEXT_MAX && slice_find(text, '\0') == text.len;
}

/* Copies `text` and a NUL to the block. */
static char *
put(struct ldap_question *q, struct slice text)
{
    char *at = q->texts + q->texts_size;

    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    at[text.len] = '\0';
    q->texts_size += text.len + 1;
    return at;
}

static int
pool_bind(lua_State *L)
{
    struct directory_client *self = directory_self(L, METATABLE);
    struct slice dn, password;

    dn.ptr = luaL_checklstring(L, 2, &dn.len);
    if (dn.len == 0 || !is_text(dn))
        return luaL_argerror(L, 2, "a name, with values escaped by escape_dn");
    if (!secret_or_string(L, 3, &password) || password.len > TEXT_MAX)
        return luaL_argerror(L, 3, "a Secret or a string is expected");
    (void)host_or_raise(L);
    int known = await_known(L, "ldap bind %.*s", TRACE_MAX, dn.ptr);
    if (known >= 0)
        return known;
    if (password.len == 0) { /* RFC 4513 5.1.2: binds as nobody, with success */
        lua_pushboolean(L, 0);
        return 1;
    }
    struct ldap_question *q = xcalloc(1, sizeof *q);
    q->texts = xmalloc(dn.len + password.len + 2);
    q->binds = true;
    q->dn = put(q, dn);
    q->password.bytes = (struct slice){put(q, password), password.len};
    return directory_await(L, self, &q->base, push);
}

/* Reads a text into `text`; the value stays on the stack. */
static void
read_text(const struct options *o, const char *name, struct slice *text)
{
    if (!option_push(o, name))
        return;
    if (lua_type(o->L, -1) != LUA_TSTRING)
        (void)luaL_error(o->L, "%s: %s must be a string", o->what, name);
    text->ptr = lua_tolstring(o->L, -1, &text->len);
    if (!is_text(*text))
        (void)luaL_error(o->L, "%s: %s: a NUL is in it, or it is too long",
                         o->what, name);
}

static int
read_scope(const struct options *o)
{
    static const char *const names[] = {"base", "one", "sub", NULL};
    static const int scopes[] = {LDAP_SCOPE_BASE, LDAP_SCOPE_ONELEVEL,
                                 LDAP_SCOPE_SUBTREE};
    int scope = 2;

    if (option_push(o, "scope"))
        scope = luaL_checkoption(o->L, -1, NULL, names);
    lua_pop(o->L, 1);
    return scopes[scope];
}

/* Pushes the list, or nil; how many bytes its names need. */
static size_t
measure_names(const struct options *o)
{
    lua_State *L = o->L;
    size_t size = 0;

    if (!option_push(o, "attributes"))
        return 0;
    int list = lua_gettop(L);
    luaL_checktype(L, list, LUA_TTABLE);
    options_thaw(L, list);
    if (lua_objlen(L, list) > LDAP_ATTRIBUTES_MAX)
        (void)luaL_error(L, "%s: attributes: at most %d", o->what,
                         LDAP_ATTRIBUTES_MAX);
    for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
        struct slice name = {"", 0};
        lua_rawgeti(L, list, i);
        if (lua_type(L, -1) == LUA_TSTRING)
            name.ptr = lua_tolstring(L, -1, &name.len);
        if (name.len == 0 || name.len > 256 || !is_text(name))
            (void)luaL_error(L, "%s: attributes: a name is expected", o->what);
        size += name.len + 1;
        lua_pop(L, 1);
    }
    return size;
}

static void
put_names(lua_State *L, int list, struct ldap_question *q)
{
    for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
        struct slice name;
        lua_rawgeti(L, list, i);
        name.ptr = lua_tolstring(L, -1, &name.len);
        q->attributes[i - 1] = put(q, name);
        lua_pop(L, 1);
    }
}

static int
pool_search(lua_State *L)
{
    static const char *const names[] = {"base",       "scope", "filter",
                                        "attributes", "limit", NULL};
    struct directory_client *self = directory_self(L, METATABLE);
    struct slice base = {"", 0}, filter = S("(objectClass=*)");

    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct options o = options_check(L, 2, "ldap.search", names);
    int limit = (int)option_number(
        &o, "limit", (struct option_range){LIMIT_DEFAULT, 1, LDAP_ENTRIES_MAX});
    int scope = read_scope(&o);
    read_text(&o, "base", &base);
    read_text(&o, "filter", &filter);
    size_t size = measure_names(&o);
    int list = lua_gettop(L);
    (void)host_or_raise(L);
    int known = await_known(L, "ldap search %.*s %.*s", TRACE_MAX, base.ptr,
                            TRACE_MAX, filter.ptr);
    if (known >= 0)
        return known;
    struct ldap_question *q = xcalloc(1, sizeof *q);
    q->texts = xmalloc(base.len + filter.len + size + 2);
    q->dn = put(q, base);
    q->filter = put(q, filter);
    q->scope = scope;
    q->limit = limit;
    if (lua_istable(L, list))
        put_names(L, list, q);
    return directory_await(L, self, &q->base, push);
}

/* --- escaping --- */

static void
add_escaped(luaL_Buffer *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    char text[] = {'\\', digits[byte >> 4], digits[byte & 15]};

    luaL_addlstring(out, text, sizeof text);
}

/* Pushes `text` with what `is_special` says as a backslash and two digits. */
static int
escape(lua_State *L, bool (*is_special)(struct slice text, size_t at))
{
    struct slice text;
    luaL_Buffer out;

    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (text.len > ESCAPE_MAX)
        return luaL_argerror(L, 1, "longer than 4 KiB");
    luaL_buffinit(L, &out);
    for (size_t i = 0; i < text.len; i++) {
        if (is_special(text, i))
            add_escaped(&out, (unsigned char)text.ptr[i]);
        else
            luaL_addchar(&out, text.ptr[i]);
    }
    luaL_pushresult(&out);
    return 1;
}

/* RFC 4514 2.4, and what may be in the way of a name that is read by eye. */
static bool
is_special_in_dn(struct slice text, size_t at)
{
    unsigned char byte = (unsigned char)text.ptr[at];

    if (byte < ' ' || byte == 0x7f || strchr("\"+,;<>\\=", byte) != NULL)
        return true;
    return (byte == ' ' && (at == 0 || at + 1 == text.len)) ||
           (byte == '#' && at == 0);
}

/* RFC 4515 3. */
static bool
is_special_in_filter(struct slice text, size_t at)
{
    unsigned char byte = (unsigned char)text.ptr[at];

    return byte < ' ' || byte == 0x7f || strchr("*()\\", byte) != NULL;
}

static int
escape_dn(lua_State *L)
{
    return escape(L, is_special_in_dn);
}

static int
escape_filter(lua_State *L)
{
    return escape(L, is_special_in_filter);
}

/* --- the pool --- */

/* libldap parses its own URLs.  The message on failure, or NULL. */
static const char *
read_url(const char *url, struct directory *like)
{
    LDAPURLDesc *parsed = NULL;
    const char *problem = NULL;

    if (ldap_url_parse(url, &parsed) != LDAP_URL_SUCCESS)
        return "not ldap://host[:port] or ldaps://host[:port]";
    like->tls = strcmp(parsed->lud_scheme, "ldaps") == 0;
    like->port = parsed->lud_port > 0 ? (uint16_t)parsed->lud_port
                 : like->tls          ? 636
                                      : 389;
    if ((!like->tls && strcmp(parsed->lud_scheme, "ldap") != 0) ||
        parsed->lud_host == NULL || *parsed->lud_host == '\0' ||
        parsed->lud_port > UINT16_MAX)
        problem = "not ldap://host[:port] or ldaps://host[:port]";
    else if ((parsed->lud_dn != NULL && *parsed->lud_dn != '\0') ||
             parsed->lud_attrs != NULL || parsed->lud_exts != NULL)
        problem = "only a host and a port may be in it";
    else
        like->host = xstrndup(parsed->lud_host, strlen(parsed->lud_host));
    ldap_free_urldesc(parsed);
    return problem;
}

static struct ldap_settings *
settings_new(struct directory *like)
{
    struct ldap_settings *s = xcalloc(1, sizeof *s);

    s->dn = xstrndup("", 0);
    s->password = xstrndup("", 0);
    like->kind = &ldap_kind;
    like->settings = s;
    return s;
}

/* The service's own account: both, or none of them. */
static void
read_account(const struct options *o, struct ldap_settings *s)
{
    struct slice dn = {"", 0}, password = {"", 0};

    read_text(o, "bind_dn", &dn);
    (void)option_bytes(o, "password", &password);
    if ((dn.len == 0) != (password.len == 0))
        (void)luaL_error(o->L, WHAT ": bind_dn needs a password, and the "
                                    "other way round");
    if (!is_text(password) || password.len > 1024)
        (void)luaL_error(o->L, WHAT ": password: not a password");
    free(s->dn);
    free(s->password);
    s->dn = xstrndup(dn.ptr, dn.len);
    s->password = xstrndup(password.ptr, password.len);
}

static void
read_options(lua_State *L, struct directory_client *client)
{
    static const char *const names[] = {
        "url",     "bind_dn",     "password", "starttls", "timeout", "size",
        "profile", "server_name", "verify",   "pin",      NULL};
    struct options o = options_check(L, 1, WHAT, names);
    struct directory *like = directory_push_half_made(L);
    struct ldap_settings *s = settings_new(like);
    struct buf key;

    if (!option_push(&o, "url") || lua_type(L, -1) != LUA_TSTRING)
        (void)luaL_error(L, WHAT ": url: a string is expected");
    const char *url = lua_tostring(L, -1), *problem = read_url(url, like);
    if (problem != NULL)
        (void)luaL_error(L, WHAT ": url: %s", problem);
    s->starttls = option_bool(&o, "starttls", false);
    if (s->starttls && like->tls)
        (void)luaL_error(L, WHAT ": starttls: ldaps has TLS already");
    like->tls = like->tls || s->starttls;
    read_account(&o, s);
    directory_options(&o, client, &like->size);
    if (like->tls)
        auth_tls_require(L, &client->tls, WHAT);
    buf_init(&key, (size_t)TEXT_MAX + 2048);
    if (!buf_printf(&key, "%s\n%s\n%d", url, s->dn, s->starttls)) {
        buf_deinit(&key);
        (void)luaL_error(L, WHAT ": url: too long");
    }
    directory_find(client, vm_of(L)->host->lasting, like, buf_bytes(&key),
                   slice_of(s->password));
    buf_deinit(&key);
    *like = (struct directory){0};
}

static int
new_pool(lua_State *L)
{
    lua_settop(L, 1);
    luaL_checktype(L, 1, LUA_TTABLE);
    read_options(L, directory_push(L, METATABLE));
    lua_settop(L, 2);
    return 1;
}

int
mod_ldap_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pool", new_pool},
                                         {"escape_dn", escape_dn},
                                         {"escape_filter", escape_filter},
                                         {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"bind", pool_bind}, {"search", pool_search}, {NULL, NULL}};

    ldap_global_init();
    directory_class(L, METATABLE, methods);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
