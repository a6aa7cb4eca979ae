/* helper.h -- the throw-away process that evaluates a configuration.
 *
 * Lua files are the operator's, but they are programs: they run in a process
 * that ends with its answer and never meets a client, and the supervisor sees
 * only the plan that they led to.  Files of `tls` sections are read again, and
 * tried, in such a process too. */
#pragma once

#include "process/plan_transfer.h"

/* Evaluates the configuration that `order` names in this process, and builds its
 * policies once to see that workers will be able to.  On failure `*errors`
 * has every error, one "file:line: message" a line, malloc'ed. */
bool configuration_evaluate(const struct config_order *order,
                            struct evaluation *e, char **errors) MUST_USE;

/* The helper's whole life; the exit status. */
int helper_run(void);
