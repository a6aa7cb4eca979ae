/* supervisor.h -- the process that stays: it keeps the sockets and the log,
 * starts the others, and starts them again.
 *
 * It may be root, so it runs no Lua and reads nothing that comes from
 * outside. */
#pragma once

#include "lua/evaluate.h"

/* Runs the gateway with the configuration that `order` names until it is told to stop.
 * Returns the exit status; what went wrong is on standard error. */
int supervisor_run(const struct config_order *order);
