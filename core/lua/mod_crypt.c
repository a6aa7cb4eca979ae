/* mod_crypt.c -- `moongate.crypt`: verify(secret, hash), hash(secret, opts). */
#include "base/base64.h"
#include "base/slice.h"
#include "lua/await.h"
#include "lua/crypt_job.h"
#include "lua/failure.h"
#include "lua/module.h"
#include "lua/options.h"
#include "lua/secret.h"

#include <lauxlib.h>
#include <stdlib.h>

/* Costs what `hash` makes by default, and no password gives it. */
#define DUMMY \
    "$argon2id$v=19$m=19456,t=2,p=1$bW9vbmdhdGUtZHVtbXktc2FsdA$" \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct crypt_op {
    struct ticket ticket;
    struct crypt_job *job;
};

static void
crypt_cancel(void *op)
{
    struct crypt_op *o = op;

    crypt_job_cancel(o->job);
    free(o);
}

static int
push_result(lua_State *L, enum crypt_result result, const char *made)
{
    switch (result) {
    case CRYPT_MATCH:
    case CRYPT_MISMATCH:
        if (made != NULL)
            lua_pushstring(L, made);
        else
            lua_pushboolean(L, result == CRYPT_MATCH);
        return 1;
    case CRYPT_UNKNOWN:
        return failure_push(L, FAILURE_PROTOCOL,
                            "crypt: not a hash that can be checked");
    case CRYPT_FAILED:
        break;
    }
    return failure_push(L, FAILURE_OVERLOAD, "crypt: no memory for the hash");
}

static void
on_done(void *arg, enum crypt_result result, const char *made)
{
    struct crypt_op *o = arg;
    struct ticket ticket = o->ticket;
    lua_State *L = await_done(&ticket);

    static const char *const words[] = {
        [CRYPT_MATCH] = "match",
        [CRYPT_MISMATCH] = "no match",
        [CRYPT_UNKNOWN] = "no hash",
        [CRYPT_FAILED] = "no memory",
    };

    free(o);
    if (L == NULL)
        return;
    await_outcome(&ticket, "%s", made != NULL ? "made" : words[result]);
    await_resume(&ticket, push_result(L, result, made));
}

/* Waits for the job just submitted. */
static int
wait_for(lua_State *L, struct crypt_op *o)
{
    if (o->job == NULL) {
        free(o);
        return failure_push(L, FAILURE_OVERLOAD,
                            "crypt: %d checks are waiting already",
                            THREADS_WAITING_MAX);
    }
    return await(L, crypt_cancel, o, &o->ticket);
}

static struct secret
check_password(lua_State *L, int index)
{
    struct secret password;

    if (!secret_or_string(L, index, &password.bytes))
        (void)luaL_argerror(L, index, "a Secret or a string is expected");
    return password;
}

static int
crypt_verify(lua_State *L)
{
    struct secret password = check_password(L, 1);
    struct slice hash;

    if (!secret_or_string(L, 2, &hash))
        return luaL_argerror(L, 2, "a hash is expected");
    struct ev_loop *loop = host_or_raise(L)->loop;
    int known = await_known(L, "crypt verify");
    if (known >= 0)
        return known;
    struct crypt_op *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return luaL_error(L, "out of memory");
    o->job = crypt_job_verify(loop, password, hash, on_done, o);
    return wait_for(L, o);
}

static enum crypt_kind
kind_option(const struct options *o)
{
    static const char *const names[] = {
        "argon2id",    "bcrypt",        "sha512", "yescrypt",
        "scram-sha-1", "scram-sha-256", NULL};
    int kind = 0;

    if (option_push(o, "scheme"))
        kind = luaL_checkoption(o->L, -1, NULL, names);
    lua_pop(o->L, 1);
    return (enum crypt_kind)kind;
}

/* Of a verifier of SCRAM, in base64. */
static void
salt_option(const struct options *o, struct crypt_cost *cost)
{
    char bytes[SCRAM_SALT_MAX + 3];
    struct slice text;

    if (option_push(o, "salt")) {
        text.ptr = luaL_checklstring(o->L, -1, &text.len);
        if (cost->kind != CRYPT_SCRAM_SHA_1 &&
            cost->kind != CRYPT_SCRAM_SHA_256)
            luaL_error(o->L, "crypt.hash: salt: it goes with SCRAM only");
        if (text.len > base64_encoded_len(SCRAM_SALT_MAX) ||
            !base64_decode(text, bytes, &cost->salt_len) ||
            cost->salt_len == 0 || cost->salt_len > SCRAM_SALT_MAX)
            luaL_error(o->L, "crypt.hash: salt: base64 of 1 to %d bytes",
                       SCRAM_SALT_MAX);
        memcpy(cost->salt, bytes, cost->salt_len);
    }
    lua_pop(o->L, 1);
}

static int
crypt_hash(lua_State *L)
{
    static const char *const names[] = {"scheme", "rounds", "memory", "salt",
                                        NULL};
    struct secret password = check_password(L, 1);
    struct options o = options_check(L, 2, "crypt.hash", names);
    struct crypt_cost cost = {
        .kind = kind_option(&o),
        .rounds = (unsigned long)option_number(
            &o, "rounds", (struct option_range){0, 1, 1e6}),
        .memory = (unsigned)option_number(&o, "memory",
                                          (struct option_range){0, 8, 1 << 20}),
    };
    salt_option(&o, &cost);
    struct ev_loop *loop = host_or_raise(L)->loop;
    int known = await_known(L, "crypt hash");
    if (known >= 0)
        return known;
    struct crypt_op *op = calloc(1, sizeof(*op));
    if (op == NULL)
        return luaL_error(L, "out of memory");
    op->job = crypt_job_make(loop, password, &cost, on_done, op);
    return wait_for(L, op);
}

int
mod_crypt_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"verify", crypt_verify}, {"hash", crypt_hash}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, DUMMY);
    lua_setfield(L, -2, "DUMMY");
    return 1;
}
