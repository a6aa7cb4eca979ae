/* login_state.h -- makes and wipes what a session needs until SPLICE. */
#pragma once

#include "session/session.h"

struct login_state *login_state_new(struct session *s,
                                    struct capabilities *learnt);

/* Cancels what is under way and wipes everything; none is fine. */
void login_state_free(struct session *s);

/* A fresh challenge for CRAM-MD5 and APOP. */
void login_state_salt(struct session *s);
