/* recall.h -- what functions of the library have come to, in recordings: those
 * that remember, or that many hooks wait for together. */
#pragma once

#include <lua.h>

/* (name, outcome, results...): tells who looks on; with no result: that it is
 * still to come, by what follows. */
int recall_note(lua_State *L);

/* (name): nothing, if nothing is replayed; else whether the recording has what
 * the next call of that name has come to, and that. */
int recall(lua_State *L);
