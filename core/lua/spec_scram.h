/* spec_scram.h -- the client of a SCRAM login in a spec, by libgsasl. */
#pragma once

#include "proto/dialog.h"

#include <lua.h>

struct spec_scram;

/* Pushes a client that has the user, the password and the authzid of
 * dialog->credentials and logs in with their mechanism. */
struct spec_scram *spec_scram_push(lua_State *L, const struct dialog *d);

/* What it answers to `challenge`, in base64, in the arena; raises if it would
 * give up: what the server said proves nothing. */
struct slice spec_scram_answer(lua_State *L, struct spec_scram *c,
                               struct dialog *d, struct slice challenge);
