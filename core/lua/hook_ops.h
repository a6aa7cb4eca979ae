/* hook_ops.h -- the session layer's policy, as Lua does it. */
#pragma once

#include "session/policy.h"

extern const struct policy_ops hook_ops;
