/* directory.h -- questions to a server that knows users, such as a database or
 * an LDAP directory, over connections that are kept.
 *
 * Connections belong to the process: generations that name the same server
 * with the same settings share them (a `struct directory`), so that a reload
 * begins with open ones.  Each carries one question at a time; a question that
 * finds none idle has one opened, up to `size`, and else waits in a line.  One
 * that is given up, or is out of time, takes its connection along: what is
 * still under way there would be taken for the answer to the next.
 *
 * How to connect and ask is the business of a `struct directory_kind`. */
#pragma once

#include "base/list.h"
#include "lua/auth_tls.h"
#include "lua/await.h"
#include "lua/failure.h"
#include "lua/lasting.h"

#include <ev.h>
#include <lua.h>

#define DIRECTORY_WAITING_MAX 1000
#define DIRECTORY_BYTES_MAX   ((size_t)1 << 20) /* of one answer */

struct directory_conn;
struct directory_question;

struct directory_kind {
    const char *name; /* "sql": begins every text of a failure */
    struct directory_conn *(*conn_new)(void); /* zeroed */
    /* Begins to connect, and then to ask; `conn->question` is set. */
    void (*open)(struct directory_conn *conn);
    /* It is open and idle, and `conn->question` is a new one. */
    void (*ask)(struct directory_conn *conn);
    /* Its watcher has seen something; `question` is NULL while it is idle. */
    void (*happened)(struct directory_conn *conn, int events);
    void (*conn_free)(struct directory_conn *conn); /* and closes it */
    void (*settings_free)(void *settings);
    void (*question_free)(struct directory_question *q);
    /* For specs: pushes a table that says what is asked. */
    void (*tell)(struct directory_question *q, lua_State *L);
};

struct directory {
    struct list link; /* in lasting->directories */
    const struct directory_kind *kind;
    unsigned references;
    struct lasting *lasting;
    struct slice key; /* owned; what makes two of them one */
    void *settings;   /* owned; of the kind */
    char *host;       /* owned; as dial.h has it, or a path */
    uint16_t port;
    bool tls;
    size_t size, open; /* connections there may be, and there are */
    struct list idle;  /* the last used first */
    struct list waiting;
    size_t waiting_count;
    ev_timer soon; /* serves those that wait, at the next turn of the loop */
};

/* One server as a policy has described it. */
struct directory_client {
    unsigned references;
    struct directory *directory; /* a reference; NULL until it is described */
    struct auth_tls tls;
    double timeout; /* seconds of one question */
};

struct directory_conn {
    struct list link; /* in `idle` */
    struct directory *directory;
    struct directory_question *question; /* NULL: idle */
    ev_io io;
    ev_timer timer; /* while idle */
};

/* Called once, never from inside directory_ask and never after
 * directory_cancel.  The question is the callee's again. */
typedef void (*directory_done_fn)(struct directory_question *q);

struct directory_question {
    struct list link;                /* in `waiting` */
    struct directory_client *client; /* held */
    struct directory_conn *conn;     /* NULL: it waits */
    ev_timer deadline;
    directory_done_fn done;
    bool failed; /* then why: */
    enum failure kind;
    char text[256];
    int rehearsed; /* the answer that a spec has, in its registry; LUA_NOREF */
    /* Of directory_object.h: */
    struct ticket ticket;
    void (*push)(lua_State *L, struct directory_question *q);
};

struct directory_client *directory_client_new(void);
void directory_client_unref(struct directory_client *c); /* NULL is fine */

/* Gives the client its server.  `like` has kind, settings, host, port, tls and
 * size, which are taken over; `secret` is a password that is part of what must
 * be equal. */
void directory_find(struct directory_client *c, struct lasting *l,
                    const struct directory *like, struct slice key,
                    struct slice secret);

/* Asks; `q` is zeroed but for what the kind has in it. */
void directory_ask(struct directory_question *q, struct directory_client *c,
                   double seconds, directory_done_fn done);
/* Gives up. */
void directory_cancel(struct directory_question *q);

/* --- for the kinds --- */

/* Waits for EV_READ, EV_WRITE or both on `fd`. */
void directory_watch(struct directory_conn *conn, int fd, int events);
/* Before `fd` may be closed by somebody else. */
void directory_unwatch(struct directory_conn *conn);

/* The connection is idle again; its question is answered, or has failed. */
void directory_answered(struct directory_conn *conn);
/* The same, but it can't be used any more. */
void directory_finished(struct directory_conn *conn);
/* It is lost, and with it the question, if there is one.  `conn` is freed. */
void directory_lost(struct directory_conn *conn, enum failure kind,
                    const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says why the question failed. */
void directory_fail(struct directory_question *q, enum failure kind,
                    const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- for the modules --- */

/* Reads `timeout` and `size`, and what auth_tls_read reads; raises. */
void directory_options(const struct options *o, struct directory_client *c,
                       size_t *size);
