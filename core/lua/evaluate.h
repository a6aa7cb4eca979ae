/* evaluate.h -- reads a configuration from disk: for `check` and for the
 * throw-away helper that builds a bundle.  The only place that reads Lua
 * files from the file system. */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "lua/bundle.h"
#include "lua/share.h"
#include "lua/stamp.h"
#include "net/listener.h"

/* What the supervisor needs of a configuration; it runs no Lua.  All strings
 * are owned by the plan. */
struct plan_listener {
    char *name;
    char *address; /* for addr_parse; port 0 lets the kernel choose */
    struct listen_options socket;
};

/* A file as it was when it was read. */
struct plan_file {
    char *path; /* absolute */
    struct file_stamp stamp;
};

struct plan_files {
    struct plan_file *all;
    size_t count;
};

/* A certificate whose status is to be fetched; all that doing so takes. */
struct plan_staple {
    char *name;      /* its file */
    char *responder; /* URL */
    char *chain;     /* PEM */
    bool must;       /* clients refuse the certificate without */
};

/* A table that all workers share. */
struct plan_dict {
    char *name;
    size_t size; /* bytes */
};

struct certificates;
struct generation;

struct plan {
    unsigned workers;         /* "auto" is resolved: online cores */
    char *user, *group;       /* to run as when started as root; or NULL */
    char *pid_file;           /* or NULL; "" once it was sent */
    unsigned descriptors;     /* open files of one worker; 0: all that it may */
    enum log_level log_level; /* the least important that any place wants */
    enum log_format log_format;
    char *log_targets; /* see log_targets_open */
    char *resolver;    /* dns_options' `servers`, or NULL */
    double valid;      /* and its `valid` */
    double shutdown_timeout;
    bool watch;       /* files that change are a reload */
    bool canary_init; /* `init` is tried before workers run it; not sent */
    char *control;    /* "unix:/path" of the control socket; NULL: none */
    struct listen_options control_socket;
    char *control_owner, *control_group; /* of its file; or NULL */
    struct plan_listener *listeners;
    size_t listener_count;
    struct plan_files tls;     /* of `tls` sections, which are watched */
    struct plan_files sources; /* all others, if `watch` */
    struct plan_staple *staples;
    size_t staple_count;
    struct plan_dict *dicts; /* in the order of their names */
    size_t dict_count;
};

void plan_deinit(struct plan *p);

/* One more file; the path is copied. */
void plan_files_add(struct plan_files *files, struct slice path,
                    const struct file_stamp *stamp);
void plan_files_forget(struct plan_files *files);

/* What is to be stapled of `c`. */
void plan_add_staples(struct plan *p, const struct certificates *c);
/* One more; the texts become the plan's. */
void plan_add_staple(struct plan *p, const struct plan_staple *staple);
void plan_forget_staples(struct plan *p);

/* One more; the name is copied. */
void plan_add_dict(struct plan *p, struct slice name, size_t size);
struct lasting;

/* What is to be read. */
struct config_order {
    const char *path;        /* of moongate.lua, or of nginx.conf */
    const char *environment; /* "staging": env/staging.lua is laid over it;
                                NULL: nothing is */
    bool nginx;              /* it is to be made of nginx.conf */
    const char *prefix;      /* nginx's own -p, or NULL */
    /* Called with what was read, be it right or wrong: what there is of a
     * generation, as generation_load has left it.  Or NULL. */
    void (*inspect)(struct generation *g, void *arg);
    void *inspect_arg;
    struct lasting *lasting; /* for who keeps the configuration; or NULL */
};

/* Reads `order` and everything it and its policies need into `w` and fills
 * `plan`.  What ships with the program is found in `share`.  On failure every
 * error found is in `errors`, one "file:line: message" a line, malloc'ed. */
bool config_evaluate(const struct config_order *order,
                     const struct share *share, struct bundle_writer *w,
                     struct plan *plan, char **errors);
