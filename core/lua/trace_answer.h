/* trace_answer.h -- the results of an await as JSON, for recordings, and back.
 *
 * Each is a string, a number, a boolean or null, or an object that says what
 * it is: {"list": [...]}, {"map": {...}}, {"http": {...}}, {"failure": kind,
 * "message": ...}, {"decision": kind, "options": {...}}, {"secret": token}.
 * What can't be written so makes the whole answer unknown. */
#pragma once

#include "base/json_writer.h"

#include <lua.h>

struct call;

/* Appends "answer":[...] for the `count` values on the top of L, whose texts
 * hold no password of the call; nothing if they can't be told. */
void trace_answer_put(struct json_writer *w, const struct call *c, lua_State *L,
                      int count);

/* Pushes the values of the decoded list at `index`; returns how many.  Raises
 * for what the other never wrote. */
int trace_answer_push(lua_State *L, int index);
