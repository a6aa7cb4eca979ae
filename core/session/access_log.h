/* access_log.h -- one line for each session, when it ends. */
#pragma once

#include "session/session.h"

/* Who, where to, how it ended, how much and how long; never a secret. */
void access_log_write(const struct session *s);
