#include "lua/redis_command.h"

#include "base/log.h"
#include "base/slice.h"
#include "lua/objects.h"
#include "lua/redis_link.h"
#include "lua/secret.h"

#include <lauxlib.h>
#include <stdio.h>

#define WRITING   "moongate.redis.writing"
#define WORDS_MAX 1000
#define SHOWN_MAX 96 /* bytes of a key */

static int
writing_gc(lua_State *L)
{
    struct redis_writing *w = lua_touserdata(L, 1);

    buf_deinit(&w->question.commands);
    buf_deinit(&w->question.fallback);
    return 0;
}

struct redis_writing *
redis_writing_push(lua_State *L)
{
    static const luaL_Reg events[] = {{"__gc", writing_gc}, {NULL, NULL}};
    struct redis_writing *w = lua_newuserdata(L, sizeof *w);

    *w = (struct redis_writing){0};
    buf_init(&w->question.commands, REDIS_REQUEST_MAX);
    buf_init(&w->question.fallback, REDIS_REQUEST_MAX);
    object_set_type(L, WRITING, events, NULL);
    return w;
}

/* Numbers as Redis reads them: never 1e+15. */
static void
push_number(lua_State *L, double value)
{
    char text[32];
    bool whole = value >= -9007199254740992. && value <= 9007199254740992. &&
                 value == (double)(long long)value;

    if (value != value)
        (void)luaL_error(L, "redis: not a number");
    (void)snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", value);
    lua_pushstring(L, text);
}

void
redis_push_word(lua_State *L, int index)
{
    struct slice bytes;

    luaL_checkstack(L, 4, "redis");
    if (lua_type(L, index) == LUA_TNUMBER)
        push_number(L, lua_tonumber(L, index));
    else if (secret_or_string(L, index, &bytes))
        lua_pushvalue(L, index);
    else
        (void)luaL_error(L,
                         "redis: a string, number or Secret is expected, "
                         "not a %s",
                         luaL_typename(L, index));
}

/* "redis GET key", when both can be told. */
static void
set_name(struct redis_writing *w, struct slice command, const struct slice *key)
{
    char shown[SHOWN_MAX] = "";

    if (key != NULL)
        (void)log_escape(*key, shown, sizeof shown);
    (void)snprintf(w->name, sizeof w->name, "%.*s%s%s",
                   (int)(command.len < 32 ? command.len : 32), command.ptr,
                   *shown != '\0' ? " " : "", shown);
}

static void
note(lua_State *L, struct redis_writing *w, int first, int count,
     const struct slice *words)
{
    for (int i = 0; i < count; i++)
        w->hides = w->hides || lua_type(L, first + i) != LUA_TSTRING;
    if (w->question.count == 0)
        set_name(w, words[0],
                 count > 1 && lua_type(L, first + 1) == LUA_TSTRING &&
                         !slice_has_prefix_nocase(words[0], S("EVAL"))
                     ? &words[1]
                     : NULL);
}

void
redis_writing_add(lua_State *L, struct redis_writing *w, int first,
                  enum redis_want want)
{
    int count = lua_gettop(L) - first + 1;

    if (count > WORDS_MAX)
        (void)luaL_error(L, "redis: more than %d words in a command",
                         WORDS_MAX);
    if (w->question.count == REDIS_PIPELINE_MAX)
        (void)luaL_error(L, "redis: more than %d commands in a pipeline",
                         REDIS_PIPELINE_MAX);
    struct slice *words = lua_newuserdata(L, (size_t)count * sizeof *words);
    for (int i = 0; i < count; i++) {
        if (!secret_or_string(L, first + i, &words[i]))
            (void)luaL_error(L, "redis: this secret was wiped");
    }
    if (!redis_put_command(&w->question.commands, words, (size_t)count))
        (void)luaL_error(L, "redis: more than %d MiB to send",
                         (int)(REDIS_REQUEST_MAX >> 20));
    note(L, w, first, count, words);
    w->wants[w->question.count++] = (unsigned char)want;
    lua_settop(L, first - 1);
}

/* Whether `word` is among the words of `list`, which are between spaces. */
static bool
is_among(struct slice word, const char *list)
{
    struct slice rest = slice_of(list);

    while (rest.len > 0) {
        if (slice_equal_nocase(slice_cut(&rest, ' '), word))
            return true;
    }
    return false;
}

void
redis_check_command(lua_State *L, struct redis_writing *w, int first)
{
    struct slice word = {"", 0};

    if (lua_gettop(L) < first || lua_type(L, first) != LUA_TSTRING)
        (void)luaL_error(L, "redis: a command is expected");
    word.ptr = lua_tolstring(L, first, &word.len);
    if (is_among(word, "AUTH HELLO SELECT QUIT RESET CLIENT MONITOR SYNC PSYNC "
                       "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE "
                       "PUNSUBSCRIBE SUNSUBSCRIBE"))
        (void)luaL_error(L,
                         "redis: %s changes the connection, which others "
                         "use too",
                         word.ptr);
    if (is_among(word, "MULTI WATCH"))
        w->in_transaction = true;
    else if (is_among(word, "EXEC DISCARD UNWATCH"))
        w->in_transaction = false;
}

/* --- answers --- */

static void
push_failure(lua_State *L, const struct redis_reply *r,
             const struct redis_manner *manner)
{
    char text[512], shown[384];
    struct slice why = r->text;
    bool cluster = redis_reply_is_error(r, S("MOVED ")) ||
                   redis_reply_is_error(r, S("ASK ")) ||
                   redis_reply_is_error(r, S("CLUSTERDOWN"));

    if (manner->hides)
        why = slice_cut(&why, ' ');
    (void)log_escape(why, shown, sizeof shown);
    (void)snprintf(text, sizeof text, "redis %s: %s%s%s", manner->server,
                   cluster ? "it is part of a Redis Cluster, which is not "
                             "supported ("
                           : "",
                   shown, cluster ? ")" : "");
    failure_push_object(L, FAILURE_SERVER, text);
}

static void
push_integer(lua_State *L, long long value)
{
    char text[32];

    if (value >= -9007199254740992LL && value <= 9007199254740992LL) {
        lua_pushnumber(L, (lua_Number)value);
        return;
    }
    (void)snprintf(text, sizeof text, "%lld", value);
    lua_pushstring(L, text);
}

/* In a list, what is missing is false, so that the list has no hole. */
static void
push_element(lua_State *L, const struct redis_reply *r,
             const struct redis_manner *manner)
{
    switch (r->kind) {
    case REDIS_STRING:
    case REDIS_STATUS:
        lua_pushlstring(L, r->text.ptr, r->text.len);
        return;
    case REDIS_ERROR:
        push_failure(L, r, manner);
        return;
    case REDIS_INTEGER:
        push_integer(L, r->integer);
        return;
    case REDIS_NIL:
        lua_pushboolean(L, 0);
        return;
    case REDIS_LIST:
        lua_createtable(L, (int)r->count, 0);
        for (size_t i = 0; i < r->count; i++) {
            push_element(L, r->elements[i], manner);
            lua_rawseti(L, -2, (int)i + 1);
        }
        return;
    }
}

/* One value; of an answer that is not what the command gives, as it is. */
static void
push_wanted(lua_State *L, const struct redis_reply *r, enum redis_want want,
            const struct redis_manner *manner)
{
    bool number = r->kind == REDIS_INTEGER;

    if (want == REDIS_WANT_DONE &&
        (r->kind == REDIS_STATUS || r->kind == REDIS_NIL))
        lua_pushboolean(L, r->kind == REDIS_STATUS);
    else if (want == REDIS_WANT_FLAG && number)
        lua_pushboolean(L, r->integer > 0);
    else if (want == REDIS_WANT_TTL && number && r->integer == -2)
        lua_pushboolean(L, 0);
    else if (want == REDIS_WANT_TTL && number && r->integer >= 0)
        lua_pushnumber(L, (lua_Number)r->integer / 1000.);
    else
        push_element(L, r, manner);
}

int
redis_push_outcome(lua_State *L, const struct redis_outcome *o,
                   const struct redis_manner *manner)
{
    if (o->replies == NULL)
        return failure_push(L, o->kind, "redis %s: %s", manner->server,
                            o->text);
    if (lua_checkstack(L, 4 * REDIS_DEPTH_MAX + LUA_MINSTACK) == 0)
        return failure_push(L, FAILURE_OVERLOAD, "redis: no stack is left");
    if (manner->list) {
        lua_createtable(L, (int)o->count, 0);
        for (size_t i = 0; i < o->count; i++) {
            push_wanted(L, o->replies[i], (enum redis_want)manner->wants[i],
                        manner);
            lua_rawseti(L, -2, (int)i + 1);
        }
        return 1;
    }
    const struct redis_reply *r = o->replies[0];
    if (r->kind == REDIS_ERROR) {
        lua_pushnil(L);
        push_failure(L, r, manner);
        return 2;
    }
    push_wanted(L, r, (enum redis_want)manner->wants[0], manner);
    /* Alone, what is missing is nil; a flag that is false stays one. */
    if (lua_isboolean(L, -1) && lua_toboolean(L, -1) == 0 &&
        (manner->wants[0] == REDIS_WANT_AS_IS ||
         manner->wants[0] == REDIS_WANT_TTL)) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    return 1;
}
