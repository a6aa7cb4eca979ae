/* scram.h -- SCRAM with a client (RFC 5802, RFC 7677, RFC 9266), by libgsasl.
 *
 * client-first, the verifier (sasl_verify), server-first, client-final,
 * server-final, and an empty line.  libgsasl is only shown messages that were
 * found good here, and has the keys for as long as its one step takes. */
#pragma once

#include "proto/sasl.h"

struct dialog;
struct scram;

/* Loads what libgsasl reads at its first use; for a process that may read
 * nothing later. */
void scram_prepare(void);

/* Takes the client's next message, which lies in the arena.  SASL_VERIFIER:
 * dialog->credentials tells of whom it is wanted. */
enum sasl_step scram_take(struct dialog *d, struct slice message,
                          struct slice *challenge);

/* Forgets the exchange, if there is one. */
void scram_end(struct dialog *d);
