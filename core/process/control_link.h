/* control_link.h -- the supervisor's end of the control process.
 *
 * It opens the control socket and keeps it, so that clients wait while the
 * process that serves it is started again.  That process is no part of the
 * service: whatever becomes of it, mail goes on. */
#pragma once

#include "base/buf.h"
#include "process/reload.h"
#include "process/slot.h"

struct control_link;

struct control_link_host {
    struct ev_loop *loop;
    const struct evaluation *evaluation;
    const struct log_targets *log;
    const struct sockets *sockets;
    struct reload *reload;
    struct slot *slots;
    size_t slot_count;
    const char *(*state)(void *arg); /* "running", "draining", ... */
    /* After control_link_stop: the process has ended. */
    void (*down)(void *arg);
    void *arg;
};

/* Opens the socket that the configuration names; NULL and "" if it names
 * none. */
struct control_link *control_link_open(const struct plan *plan,
                                       struct error *err);

/* Everything below does nothing for NULL. */

/* Starts the process, and again whenever it dies. */
void control_link_start(struct control_link *l,
                        const struct control_link_host *host);

/* The worker of `slot` is ready: it and control get a pair. */
void control_link_connect(struct control_link *l, struct slot *slot);

/* Passes on where the log is written to. */
void control_link_tell(struct control_link *l, const struct message *m);

/* Ends the process; false while it has not ended: `down` follows. */
bool control_link_stop(struct control_link *l);
void control_link_kill(struct control_link *l);

/* Removes the socket.  No process is left. */
void control_link_free(struct control_link *l);
