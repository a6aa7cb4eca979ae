/* worker.h -- the process that serves clients.
 *
 * It faces the network, so it has given up whatever it can before it reads
 * the first byte, and opens no file once it is ready. */
#pragma once

/* The worker's whole life; the exit status. */
int worker_run(void);
