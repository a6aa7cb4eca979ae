/* slot.h -- one place for a worker, and the process that fills it now.
 *
 * The place and its sockets live as long as the gateway; processes come and
 * go.  A worker that dies is started again at once; one that keeps dying,
 * after a growing delay. */
#pragma once

#include "process/log_target.h"
#include "process/message.h"
#include "process/plan_transfer.h"
#include "process/shared_dicts.h"
#include "process/sockets.h"
#include "process/spawn.h"
#include "process/worker_setup.h"

#include <ev.h>

enum slot_state {
    SLOT_DOWN,     /* no process; perhaps one will be started */
    SLOT_STARTING, /* not ready yet */
    SLOT_READY,
};

struct slot;

/* What all slots share, and how they tell about themselves. */
struct slot_host {
    struct ev_loop *loop;
    const struct evaluation *evaluation;
    const struct sockets *sockets;
    unsigned generation; /* that all serve, or are about to */
    const struct log_targets *log;
    const struct shared_tls *tls;
    const struct shared_dicts *dicts;
    bool restarting; /* whether a worker that died is started again */
    /* A process has its sockets; what else it is told first. */
    void (*started)(struct slot_host *host, struct slot *slot);
    void (*ready)(struct slot_host *host, struct slot *slot);
    /* It can serve that generation, or (`why` is not empty) can't. */
    void (*prepared)(struct slot_host *host, struct slot *slot,
                     unsigned generation, struct slice why);
    /* A worker serves what it was told to. */
    void (*serving)(struct slot_host *host);
    /* The others are to forget what it has forgotten. */
    void (*purged)(struct slot_host *host, const struct slot *slot,
                   const struct message *purge);
    /* It asks about sessions, or tells what it was asked. */
    void (*asked)(struct slot_host *host, struct slot *slot, uint64_t id,
                  const struct message *question);
    void (*answered)(struct slot_host *host, unsigned to,
                     const struct message *answer);
    /* Its process has ended; `slot->failure` may tell why. */
    void (*down)(struct slot_host *host, struct slot *slot);
};

/* How hooks of one worker's generation have ended so far. */
struct tally {
    unsigned generation;
    uint64_t calls, bugs;
};

struct slot {
    struct slot_host *host;
    unsigned number; /* 1, 2, ...: in logs */
    enum slot_state state;
    struct child child;
    ev_child exit;
    ev_io io;
    ev_timer timer;       /* DOWN: until the next start; STARTING: limit */
    unsigned generation;  /* that it serves, or starts with */
    unsigned committing;  /* that it was told to serve and has not said it does;
                             0: none */
    unsigned preparing;   /* that it was asked to prepare and has not answered
                             about; 0: none */
    struct tally tally;   /* as it last told */
    ev_tstamp began;      /* when the process was started */
    unsigned starts;      /* processes so far */
    unsigned failures;    /* starts that did not last, in a row */
    unsigned silent;      /* ticks since it was asked for a sign of life */
    bool asked;           /* and has not answered yet */
    double silent_cpu;    /* CPU seconds used when the silence was noticed */
    struct slot *keeper;  /* accepts on our sockets for us; or NULL */
    struct error failure; /* what the worker said, or why it was ended; "" */
};

void slot_init(struct slot *s, struct slot_host *host, unsigned number);

/* Starts a process.  false if that is not even possible. */
bool slot_start(struct slot *s, struct error *err) MUST_USE;

/* Sends a message if there is a process; one that can't be sent is logged. */
void slot_tell(struct slot *s, const struct message *m);
void slot_kill(struct slot *s, int signal);

/* Has a ready worker prepare a generation; `sockets` that it does not have yet
 * are sent along.  false if it can't be told. */
bool slot_prepare(struct slot *s, unsigned generation,
                  const struct sockets *sockets, int bundle,
                  struct error *err) MUST_USE;

/* Has it serve what it has prepared; one that can't be told is ended. */
void slot_commit(struct slot *s, unsigned generation);

/* Asks for a sign of life, ten times a second; ends a worker that spends all
 * its time on something else than its loop. */
void slot_tick(struct slot *s);

/* Ends a process, stopped perhaps, that does not let go of a shared dict. */
void slot_end_holder(struct slot *s, const char *dict);

/* Whether it serves its sockets: ready, and not silent for too long. */
bool slot_is_alive(const struct slot *s);

/* No process is left, and none will be started. */
void slot_deinit(struct slot *s);
