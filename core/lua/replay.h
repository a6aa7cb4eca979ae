/* replay.h -- answers that a recording has, instead of I/O.
 *
 * While a state replays, what its hooks wait for is taken from the list: the
 * first of that name that was not taken yet.  What is not in it raises. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct vm;

/* Sets the list: JSON, [{"what":"http GET ...","answer":[...]}, ...].  `NULL`
 * bytes: real I/O again. */
bool replay_set(struct vm *vm, struct slice json, struct error *err);
