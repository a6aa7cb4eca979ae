/* redis_command.h -- commands as policies write them. */
#pragma once

#include "lua/redis_exchange.h"

#include <lua.h>

#define REDIS_PIPELINE_MAX 1000 /* commands */

/* What the policy gets for the answer. */
enum redis_want {
    REDIS_WANT_AS_IS,
    REDIS_WANT_DONE, /* OK: true, nothing: false */
    REDIS_WANT_FLAG, /* a number: whether it is more than 0 */
    REDIS_WANT_TTL,  /* milliseconds: seconds */
};

/* A question that is being written; a userdata, so that what raises meanwhile
 * leaves nothing behind. */
struct redis_writing {
    struct redis_question question;
    char name[192];      /* of the first command, with its key; no secret */
    bool hides;          /* a word was a Secret: answers may repeat it */
    bool in_transaction; /* MULTI or WATCH, and no end */
    unsigned char wants[REDIS_PIPELINE_MAX]; /* enum redis_want */
};

/* Pushes a new one. */
struct redis_writing *redis_writing_push(lua_State *L);

/* Pushes the value at `index` as a word: a string, a number or a Secret. */
void redis_push_word(lua_State *L, int index);

/* Adds the command whose words are on the stack from `first` up, and pops
 * them.  Raises if it can't be. */
void redis_writing_add(lua_State *L, struct redis_writing *w, int first,
                       enum redis_want want);

/* Takes the words of a command that could upset a connection that others use:
 * raises for those that do. */
void redis_check_command(lua_State *L, struct redis_writing *w, int first);

/* How answers are told. */
struct redis_manner {
    const char *server;
    const unsigned char *wants; /* one for each answer */
    bool hides, list;
};

/* Pushes what the policy gets: for one command one value, or nil and the
 * failure; for a pipeline a list.  Returns how many. */
int redis_push_outcome(lua_State *L, const struct redis_outcome *o,
                       const struct redis_manner *manner);
