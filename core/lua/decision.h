/* decision.h -- what a hook returns: moongate.accept{}, reject{}, to{}, ...
 *
 * A typed userdata, checked when it is made, in its author's line.  Nothing
 * else that a hook returns admits anybody. */
#pragma once

#include "base/arena.h"
#include "session/policy.h"

#include <lua.h>

struct session;

/* Each kind has as much of it as it needs: up to `target`, up to the union, or
 * all. */
struct decision {
    enum verdict_kind kind;
    struct slice certificate;
    struct slice reason, text, code, enhanced, sasl, log, user;
    double delay;
    bool close;
    bool has_target, has_fallback, has_login;
    struct slice login_user, authzid; /* ptr NULL: not given */
    struct slice password, token;
    enum mechanism mechanism;
    bool none, pass_error_message;
    int xclient;          /* -1: not given */
    int where;            /* line it was made in; 0: unknown */
    int vars;             /* where its environment has them; 0: not given */
    struct target target; /* if has_target */
    union {
        struct target fallback; /* if has_fallback */
        struct {                /* of a verifier */
            double iterations;
            struct slice stored, salt, stored_key, server_key;
            struct scram_verifier verifier;
        };
    };
};

/* The constructors, as lua_CFunctions: (options) -> decision. */
int decision_accept(lua_State *L);
int decision_reject(lua_State *L);
int decision_tempfail(lua_State *L);
int decision_wait(lua_State *L);
int decision_to(lua_State *L);
int decision_retry(lua_State *L);
int decision_login(lua_State *L);
int decision_certificate(lua_State *L); /* (name) -> decision */
int decision_verifier(lua_State *L);

/* The same step by step, for C: begin pushes what becomes the decision, take
 * takes the value on the top as the option `name`, which there is, end leaves
 * the decision.  All may raise. */
struct decision *decision_begin(lua_State *L, enum verdict_kind kind);
void decision_take(lua_State *L, struct decision *d, const char *name);
void decision_end(lua_State *L);

/* The decision at `index`, or NULL. */
const struct decision *decision_test(lua_State *L, int index);

/* Pushes the options of the decision at `index`: { name = value }. */
void decision_push_options(lua_State *L, int index);

/* Copies the decision at `index` into `s`'s arena and `*verdict`; the vars of
 * an accept are pushed (a table or nil).  False if the arena is full. */
bool decision_fill(lua_State *L, int index, struct session *s,
                   struct verdict *verdict);

/* "accept", "reject", ... */
const char *decision_name(enum verdict_kind kind);

/* The name of the i-th option of such a decision; NULL behind the last. */
const char *decision_option(enum verdict_kind kind, size_t i);
