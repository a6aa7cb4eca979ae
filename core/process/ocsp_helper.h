/* ocsp_helper.h -- the throw-away process that asks an OCSP responder.
 *
 * What a responder says is parsed here first, by a process with no privileges
 * and no keys, which ends with its answer. */
#pragma once

#include "base/check.h"
#include "lua/evaluate.h"
#include "process/message.h"
#include "process/privileges.h"

/* The order for it. */
void ocsp_helper_order(struct message *m, const struct plan_staple *staple,
                       const struct identity *identity);

/* Seconds that it may take. */
#define OCSP_HELPER_LIMIT 30.

/* The helper's whole life; the exit status. */
int ocsp_helper_run(void);
