/* spec_world.h -- what surrounds the policies of one gateway under a spec: a
 * loop, its time, and in the place of the network a Lua function of the spec.
 *
 * The function is called with the kind of what happens:
 *   "http", query       a table that says what is answered, see `answer_http`
 *   "sql", question; "ldap", question   { answer } or { fail, text }, delay
 *   "sessions", question   { answer } or { fail }, delay
 *   "dns", name, type   a table of records, or with `fail`
 *   "dial", host, port, what   a function that serves the connection, or the
 *                       name of a failure
 *   "hook", name, kind  a hook was asked, and its verdict
 * What it raises is the trouble of the world: the spec is told. */
#pragma once

#include "base/list.h"
#include "base/types.h"
#include "lua/failure.h"
#include "lua/spec_clock.h"
#include "net/stand_in.h"

#include <lua.h>

struct directory_kind;
struct directory_question;
struct http_query;
struct host;

struct spec_world {
    struct stand_in stand_in;
    bool live; /* the network and the time are the machine's */
    struct ev_loop *loop;
    struct dns *dns;
    struct spec_clock clock;
    struct list peers;
    lua_State *L; /* the spec's, while it has called the host */
    int answer;   /* registry: the function */
    unsigned invoked;
    char *trouble; /* NULL: none */
};

/* The function is at `index`.  A live world lends loop and resolver of `host`
 * and asks the function about hooks only. */
struct spec_world *spec_world_new(lua_State *L, int index,
                                  const struct host *host, bool live);
/* Nothing runs on the loop any more. */
void spec_world_free(struct spec_world *w);

/* The spec has called: on its thread `L` the function is called from now on. */
void spec_world_enter(struct spec_world *w, lua_State *L);

/* One thing happens.  False: nothing ever will, or there is trouble. */
bool spec_world_step(struct spec_world *w);

/* Time passes. */
void spec_world_pause(struct spec_world *w, double seconds);

/* Raises the trouble there is, if any. */
void spec_world_raise(struct spec_world *w, lua_State *L);

/* Pushes the function and `kind` on the spec's stack; the caller adds what it is
 * told, and then asks.  The answer is on the top; false: there is none, and
 * nothing on the stack. */
lua_State *spec_world_begin(struct spec_world *w, const char *kind);
bool spec_world_ask(struct spec_world *w, int nargs);

/* Calls what is on the spec's stack; false: it raised, which is trouble. */
bool spec_world_call(struct spec_world *w, int nargs, int results);

void spec_world_note_hook(struct spec_world *w, const char *hook,
                          const char *kind);

/* How an exchange of `moongate.http` ends. */
struct spec_http {
    bool silent, ok;
    double delay; /* seconds */
    unsigned status;
    struct slice head, body; /* until the next call */
    enum failure kind;       /* not ok */
    char text[256];
};

void spec_world_http(struct ev_loop *loop, const struct http_query *query,
                     struct spec_http *answer);

/* How a question to a directory ends: sets `rehearsed` or its failure, and
 * returns after how many seconds; < 0: nobody answers. */
double spec_world_directory(struct ev_loop *loop,
                            const struct directory_kind *kind,
                            struct directory_question *q);

/* Pushes a copy of that answer on `to`, another state's stack, and forgets it
 * (`to` NULL: forgets it alone). */
void spec_world_push(struct ev_loop *loop, struct directory_question *q,
                     lua_State *to);
