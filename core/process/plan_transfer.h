/* plan_transfer.h -- a plan from the helper to the supervisor. */
#pragma once

#include "base/check.h"
#include "lua/evaluate.h"
#include "process/privileges.h"

/* All that the supervisor learns of a configuration. */
struct evaluation {
    struct plan plan;
    struct identity identity; /* of the workers */
    int bundle;               /* sealed; -1: none yet */
    char hash[65];            /* of the bundle */
};

void evaluation_init(struct evaluation *e);
void evaluation_deinit(struct evaluation *e);

/* Everything, the bundle last. */
bool evaluation_send(int fd, const struct evaluation *e,
                     struct error *err) MUST_USE;

/* The files of `tls` sections, one message each. */
bool plan_send_files(int fd, const struct plan *plan,
                     struct error *err) MUST_USE;

/* What is to be stapled, the same. */
bool plan_send_staples(int fd, const struct plan *plan,
                       struct error *err) MUST_USE;

struct message;

/* The bundle and its hash. */
bool bundle_send(int fd, const struct evaluation *e,
                 struct error *err) MUST_USE;
bool bundle_take(struct evaluation *e, struct message *m) MUST_USE;

/* One of them. */
bool plan_take_file(struct plan *plan, struct message *m) MUST_USE;
bool plan_take_staple(struct plan *plan, struct message *m) MUST_USE;

/* Takes one message of evaluation_send into `e`.  `*complete` once it was the
 * last.  false if it was none of them, or makes no sense. */
bool evaluation_take(struct evaluation *e, struct message *m,
                     bool *complete) MUST_USE;
