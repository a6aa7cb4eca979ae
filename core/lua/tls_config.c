#include "lua/tls_config.h"

#include "base/digest.h"
#include "base/slice.h"
#include "lua/secret.h"
#include "lua/values.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX       1024
#define PASSPHRASES_MAX 8
#define COMMANDS_MAX    32

/* One more file has been read. */
static void
add_to_digest(const struct tls_building *b, struct slice bytes)
{
    char sum[64];

    if (b->digest == NULL)
        return;
    digest_hmac_sha256((struct slice){b->digest, sizeof sum}, bytes, sum);
    memcpy(b->digest, sum, sizeof sum);
}

/* The bytes of the file that `table`.`name` names; empty if it names none. */
static bool
read_file(const struct tls_building *b, int table, const char *name,
          struct slice *bytes, struct error *err)
{
    struct slice path = value_text(b->L, table, name);
    struct source_file file;

    *bytes = (struct slice){0};
    if (path.ptr == NULL)
        return true;
    if (slice_equal(path, S("system"))) {
        const char *system = tls_trust_system_file();
        if (system == NULL)
            return error_set(err,
                             "%s: this machine has no bundle of "
                             "authorities (package ca-certificates)",
                             name);
        path = slice_of(system);
    }
    if (!source_tls(b->source, path, &file, err))
        return error_context(err, "%s", name);
    *bytes = file.bytes;
    add_to_digest(b, *bytes);
    return true;
}

/* The i-th text (or secret) of a list field, in the arena; ptr NULL behind its
 * end. */
static struct slice
nth(const struct tls_building *b, int table, const char *name, int i)
{
    struct slice text = {0};
    lua_State *L = b->L;

    lua_getfield(L, table, name);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, i);
        if (secret_or_string(L, -1, &text))
            text = value_keep(b->arena, text);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return text;
}

static bool
read_path(const struct tls_building *b, struct slice path, struct slice *bytes,
          struct error *err)
{
    struct source_file file;

    if (!source_tls(b->source, path, &file, err))
        return false;
    *bytes = file.bytes;
    add_to_digest(b, *bytes);
    return true;
}

/* Certificates and keys stand in two lists, in the same order; a certificate
 * whose file holds the key too needs none. */
static bool
read_pairs(const struct tls_building *b, int table,
           struct tls_pair_config *pairs, size_t *count, struct error *err)
{
    for (*count = 0; *count <= TLS_PAIRS_MAX; ++*count) {
        struct slice path = nth(b, table, "certificate", (int)*count + 1);
        struct slice key = nth(b, table, "key", (int)*count + 1);
        if (path.ptr == NULL)
            return true;
        if (*count == TLS_PAIRS_MAX)
            break;
        struct tls_pair_config *pair = &pairs[*count];
        pair->name = path.ptr;
        if (!read_path(b, path, &pair->certificate, err) ||
            !read_path(b, key.ptr != NULL ? key : path, &pair->key.bytes, err))
            return false;
    }
    return error_set(err, "at most %d certificates", TLS_PAIRS_MAX);
}

/* Their staples, and what an operator wants to know of them. */
static bool
note_certificates(const struct tls_building *b, int table,
                  struct tls_identity *identity,
                  const struct tls_identity_config *config, struct error *err)
{
    struct slice files[TLS_PAIRS_MAX];
    struct stapling_config stapling = {
        .on = b->stapling || value_flag(b->L, table, "stapling"),
        .responder = value_text(b->L, table, "stapling_responder"),
        .files = files,
    };

    while (stapling.file_count < TLS_PAIRS_MAX) {
        struct slice path =
            nth(b, table, "stapling_file", (int)stapling.file_count + 1);
        if (path.ptr == NULL)
            break;
        if (!read_path(b, path, &files[stapling.file_count++], err))
            return error_context(err, "stapling_file");
    }
    certificates_add(b->certificates, identity, config, &stapling);
    return true;
}

/* NULL without an error when the section has no certificate. */
static struct tls_identity *
read_identity(const struct tls_building *b, int table, bool *failed,
              struct error *err)
{
    struct tls_pair_config pairs[TLS_PAIRS_MAX] = {{0}};
    struct secret passphrases[PASSPHRASES_MAX];
    struct tls_identity_config config = {.pairs = pairs,
                                         .passphrases = passphrases};

    *failed = !read_pairs(b, table, pairs, &config.pair_count, err);
    if (*failed || config.pair_count == 0)
        return NULL;
    while (config.passphrase_count < PASSPHRASES_MAX) {
        struct slice text =
            nth(b, table, "passphrases", (int)config.passphrase_count + 1);
        if (text.ptr == NULL)
            break;
        passphrases[config.passphrase_count++].bytes = text;
    }
    struct tls_identity *identity = tls_identity_new(&config, err);
    *failed = identity == NULL;
    if (identity != NULL &&
        !note_certificates(b, table, identity, &config, err)) {
        *failed = true;
        tls_identity_unref(identity);
        return NULL;
    }
    return identity;
}

static const char *
text_of(const struct tls_building *b, int table, const char *name)
{
    return value_copy(b->L, table, name, b->arena).ptr;
}

static enum tls_version
version_of(const struct tls_building *b, int table, const char *name)
{
    static const char *const names[] = {"1.0", "1.1", "1.2", "1.3"};
    struct slice text = value_text(b->L, table, name);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal(text, slice_of(names[i])))
            return (enum tls_version)(TLS_VERSION_1_0 + (int)i);
    }
    return TLS_VERSION_DEFAULT;
}

/* "Name value" texts of `commands`. */
static size_t
read_commands(const struct tls_building *b, int table,
              struct tls_command *commands)
{
    size_t count = 0;

    while (count < COMMANDS_MAX) {
        struct slice text = nth(b, table, "commands", (int)count + 1);
        size_t space = slice_find(text, ' ');
        if (text.ptr == NULL)
            break;
        struct slice name = value_keep(b->arena, slice_take(text, space));
        commands[count++] = (struct tls_command){
            name.ptr, space < text.len ? text.ptr + space + 1 : ""};
    }
    return count;
}

static struct tls_options
read_options(const struct tls_building *b, int table,
             struct tls_command *commands)
{
    return (struct tls_options){
        .lowest = version_of(b, table, "min_version"),
        .highest = version_of(b, table, "max_version"),
        .ciphers = text_of(b, table, "ciphers"),
        .ciphersuites = text_of(b, table, "ciphersuites"),
        .curves = text_of(b, table, "curves"),
        .commands = commands,
        .command_count = read_commands(b, table, commands),
    };
}

/* Authorities and revocations; NULL without an error when none is named. */
static struct tls_trust *
read_trust(const struct tls_building *b, int table, bool *failed,
           struct error *err)
{
    struct tls_trust_config config;

    *failed = !read_file(b, table, "ca", &config.ca, err) ||
              !read_file(b, table, "trusted_ca", &config.trusted, err) ||
              !read_file(b, table, "crl", &config.crl, err);
    if (*failed || (config.ca.ptr == NULL && config.trusted.ptr == NULL))
        return NULL;
    struct tls_trust *trust = tls_trust_new(&config, err);
    *failed = trust == NULL;
    return trust;
}

/* --- names (SNI) --- */

struct names {
    struct tls_name *each;
    size_t count;
};

static void
forget_names(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        tls_identity_unref(n->each[i].identity);
}

/* `table`.`field` is { ["*.example.org"] = { certificate =, key = } }. */
static bool
read_names(const struct tls_building *b, int table, const char *field,
           struct names *n, struct error *err)
{
    lua_State *L = b->L;
    bool failed = false;

    lua_getfield(L, table, field);
    int all = lua_gettop(L);
    n->each = arena_alloc(b->arena, NAMES_MAX * sizeof *n->each);
    for (lua_pushnil(L); lua_istable(L, all) && !failed && lua_next(L, all);
         lua_pop(L, 1)) {
        struct slice name;
        name.ptr = lua_tolstring(L, -2, &name.len);
        if (n->count == NAMES_MAX)
            failed = !error_set(err, "at most %d", NAMES_MAX);
        struct tls_identity *identity =
            failed ? NULL : read_identity(b, lua_gettop(L), &failed, err);
        if (identity == NULL) {
            failed = true;
            (void)error_context(err, "%s: %.*s", field, (int)name.len,
                                name.ptr);
            break;
        }
        n->each[n->count++] =
            (struct tls_name){value_keep(b->arena, name), identity};
    }
    lua_settop(L, all - 1);
    return !failed;
}

/* --- the section of a listener --- */

static enum tls_client_certificate
client_certificate(const struct tls_building *b, int table)
{
    static const char *const names[] = {
        [TLS_CLIENT_CERTIFICATE_OFF] = "off",
        [TLS_CLIENT_CERTIFICATE_REQUIRED] = "required",
        [TLS_CLIENT_CERTIFICATE_OPTIONAL] = "optional",
        [TLS_CLIENT_CERTIFICATE_OPTIONAL_NO_CA] = "optional_no_ca",
    };
    struct slice text = value_text(b->L, table, "client_certificate");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_equal(text, slice_of(names[i])))
            return (enum tls_client_certificate)i;
    }
    return TLS_CLIENT_CERTIFICATE_OFF;
}

static bool
read_ticket_keys(const struct tls_building *b, int table,
                 struct secret keys[TLS_TICKET_KEYS_MAX],
                 struct tls_ticket_config *tickets, struct error *err)
{
    while (tickets->key_count < TLS_TICKET_KEYS_MAX) {
        struct slice path =
            nth(b, table, "ticket_keys", (int)tickets->key_count + 1);
        if (path.ptr == NULL)
            break;
        if (!read_path(b, path, &keys[tickets->key_count++].bytes, err))
            return error_context(err, "ticket_keys");
    }
    tickets->keys = keys;
    return true;
}

/* All that the section holds, while the context is made of it. */
struct section {
    struct tls_server_config config;
    struct names names;
    struct tls_command commands[COMMANDS_MAX];
    struct secret ticket_keys[TLS_TICKET_KEYS_MAX];
};

static bool
read_section(const struct tls_building *b, int table, struct section *s,
             struct error *err)
{
    struct tls_server_config *c = &s->config;
    struct tls_building names = *b;
    bool failed;

    names.stapling = value_flag(b->L, table, "stapling");
    c->options = read_options(b, table, s->commands);
    c->names_only = value_flag(b->L, table, "names_only");
    c->prefer_server_ciphers = value_flag(b->L, table, "prefer_server_ciphers");
    c->client_certificate = client_certificate(b, table);
    c->verify_depth = (int)value_number(b->L, table, "verify_depth");
    c->session_timeout = (unsigned)value_number(b->L, table, "session_timeout");
    c->tickets.period = (unsigned)value_number(b->L, table, "ticket_period");
    c->tickets.secret = b->host->ticket_secret;
    if (value_flag(b->L, table, "session_cache"))
        c->cache = b->host->tls_cache;
    if (!read_file(b, table, "dhparam", &c->dhparam, err) ||
        !read_ticket_keys(b, table, s->ticket_keys, &c->tickets, err) ||
        !read_names(&names, table, "names", &s->names, err))
        return false;
    /* A generation that is only tried out has no secret, and serves nobody. */
    c->tickets.on =
        value_flag(b->L, table, "tickets") &&
        (c->tickets.key_count > 0 || b->host->ticket_secret.bytes.len > 0);
    c->names = s->names.each;
    c->name_count = s->names.count;
    c->identity = read_identity(b, table, &failed, err);
    if (!failed)
        c->trust = read_trust(b, table, &failed, err);
    return !failed;
}

static void
set_mode(const struct tls_building *b, int table, struct listener_config *l)
{
    struct slice mode = value_text(b->L, table, "mode");

    l->tls = slice_equal(mode, S("implicit")) ? TLS_IMPLICIT : TLS_STARTTLS;
    l->settings.starttls = l->tls == TLS_STARTTLS;
    l->settings.tls_required = slice_equal(mode, S("required"));
}

bool
tls_config_read(const struct tls_building *b, int listen,
                struct listener_config *l, struct error *err)
{
    lua_State *L = b->L;

    lua_getfield(L, listen, "tls");
    int table = lua_gettop(L);
    if (!lua_istable(L, table)) {
        lua_settop(L, table - 1);
        return true;
    }
    struct section *s = arena_alloc(b->arena, sizeof *s);
    s->config.name = value_keep(b->arena, l->name).ptr;
    s->config.alpn = l->proto->name;
    set_mode(b, table, l);
    if (read_section(b, table, s, err))
        l->tls_context = tls_server_context_new(&s->config, err);
    tls_identity_unref(s->config.identity);
    tls_trust_unref(s->config.trust);
    forget_names(&s->names);
    lua_settop(L, table - 1);
    return l->tls_context != NULL ||
           error_context(err, "listen \"%.*s\": tls", (int)l->name.len,
                         l->name.ptr);
}

void
tls_config_forget(struct listener_config *l)
{
    tls_server_context_unref(l->tls_context);
    l->tls_context = NULL;
}

/* --- what the `certificate` hook chooses from --- */

bool
tls_certificates_read(const struct tls_building *b, int gateway,
                      struct config *c, struct error *err)
{
    struct names names = {0};
    bool done = read_names(b, gateway, "certificates", &names, err);

    c->certificates = names.each;
    c->certificate_count = names.count;
    return done;
}

void
tls_certificates_forget(struct config *c)
{
    for (size_t i = 0; i < c->certificate_count; i++)
        tls_identity_unref(c->certificates[i].identity);
    c->certificate_count = 0;
}

/* --- profiles for upstreams --- */

static void digest_table(lua_State *L, int table, char sum[64]);

static void
digest_value(lua_State *L, int index, char sum[64])
{
    struct slice bytes = {"", 0};

    if (lua_istable(L, index)) {
        digest_table(L, index, sum);
        return;
    }
    lua_pushvalue(L, index); /* lua_next must not see its type change */
    if (lua_isboolean(L, -1))
        bytes = lua_toboolean(L, -1) ? S("true") : S("false");
    else if (!secret_or_string(L, -1, &bytes) && lua_isnumber(L, -1))
        bytes.ptr = lua_tolstring(L, -1, &bytes.len);
    digest_hmac_sha256(slice_of(lua_typename(L, lua_type(L, index))), bytes,
                       sum);
    lua_pop(L, 1);
}

/* The same for the same content, in whatever order it is walked. */
static void
digest_table(lua_State *L, int table, char sum[64])
{
    char name[64], value[64], pair[64];

    luaL_checkstack(L, 4, "digest");
    memset(sum, 0, sizeof pair);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        int top = lua_gettop(L);
        digest_value(L, top - 1, name);
        digest_value(L, top, value);
        digest_hmac_sha256((struct slice){name, sizeof name},
                           (struct slice){value, sizeof value}, pair);
        for (size_t i = 0; i < sizeof pair; i++)
            sum[i] = (char)(sum[i] ^ pair[i]);
    }
    digest_hmac_sha256(S("table"), (struct slice){sum, sizeof pair}, pair);
    memcpy(sum, pair, sizeof pair);
}

void
tls_profile_digest(const struct tls_building *b, int table, char digest[64])
{
    digest_table(b->L, table, digest);
}

struct tls_client_context *
tls_profile_new(const struct tls_building *b, int table, struct error *err)
{
    struct tls_command commands[COMMANDS_MAX];
    struct tls_client_config config = {
        .options = read_options(b, table, commands),
        .sessions_max = (size_t)value_number(b->L, table, "sessions"),
    };
    struct tls_client_context *context = NULL;
    bool failed;

    config.identity = read_identity(b, table, &failed, err);
    if (!failed)
        config.trust = read_trust(b, table, &failed, err);
    if (!failed)
        context = tls_client_context_new(&config, err);
    tls_identity_unref(config.identity);
    tls_trust_unref(config.trust);
    return context;
}
