/* worker_setup.h -- what a worker is told before it starts. */
#pragma once

#include "base/log.h"
#include "net/tls_tickets.h"
#include "process/deployment.h"
#include "process/log_target.h"
#include "process/message.h"
#include "process/privileges.h"

/* What workers share so that any of them resumes the TLS sessions of all. */
struct shared_tls {
    char ticket_secret[TLS_TICKET_SECRET_SIZE];
    int cache; /* of tls_cache_create */
};

struct worker_setup {
    unsigned number;  /* slot: 1, 2, ... */
    unsigned process; /* the how manieth there: 1, 2, ... */
    struct identity identity;
    enum log_level log_level;
    enum log_format log_format;
    struct log_target log;        /* the first */
    unsigned descriptors;         /* open files; 0: as many as it may have */
    struct deployment deployment; /* received; owned by the setup */
    char *resolver; /* owned by who filled the setup; "": the system's */
    double valid;   /* see struct dns_options */
    int bundle;     /* descriptor */
    struct shared_tls tls;
};

/* All but the deployment, which is told by what it is made of.  The
 * descriptors are borrowed. */
void worker_setup_put(const struct worker_setup *setup, unsigned generation,
                      const struct sockets *sockets, struct message *m);
/* The descriptors become the setup's.  false if it makes no sense. */
bool worker_setup_get(struct worker_setup *setup, struct message *m) MUST_USE;
