/* spec_verdict.h -- verdicts as a spec sees them. */
#pragma once

#include "session/session.h"

#include <lua.h>

/* Pushes the verdict of the hook that `s` was asked last as a plain table;
 * that of a refusal has in `wire` what each protocol tells a client. */
void spec_verdict_push(lua_State *L, const struct session *s);

/* The session itself has refused the login: pushes that as a verdict. */
void spec_refusal_push(lua_State *L, const struct session *s);

/* Sets in the table on the top where the login goes. */
void spec_target_set(lua_State *L, const struct session *s);
