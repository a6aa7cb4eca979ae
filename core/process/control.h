/* control.h -- the process that serves the control socket.
 *
 * It has what it needs from the start: the socket, the log, a pair with the
 * supervisor and one with each worker.  It runs as the workers do, opens no
 * file, and when it dies it is only started again. */
#pragma once

/* The process' whole life; the exit status. */
int control_run(void);
