/* record.h -- what is left of a login once its arena is wiped. */
#pragma once

#include "session/session.h"

void record_init(struct record *r);
void record_deinit(struct record *r);

/* Replaces a text; "" for an empty slice. */
void record_set(char **field, struct slice text);
