/* control_request.h -- one request at the control socket that is being
 * answered: what it wants, and which workers have yet to answer. */
#pragma once

#include "base/list.h"
#include "lua/memo.h"
#include "process/control_http.h"
#include "process/control_links.h"
#include "process/tally.h"

#include <cjson/cJSON.h>

#define CREDIT       4U /* messages that a worker may be ahead of the client */
#define WAITING_MAX  ((size_t)256 * 1024)  /* bytes for the client: no more */
#define FOLLOWED_MAX ((size_t)1024 * 1024) /* the same: events are lost */
#define REPLY_MAX    ((size_t)8 * 1024 * 1024)

enum part_state {
    PART_MISSING, /* not asked, or it did not answer */
    PART_WAITS,
    PART_DONE,
};

/* The answer of one worker. */
struct part {
    enum part_state state;
    uint64_t credit; /* messages that may still come */
    uint64_t owed;   /* to be granted once the client has read more */
    struct worker_state status;
    struct tally_part *counters; /* what has come of them, or NULL */
};

struct request;

struct route {
    const char *method, *path;
    void (*begin)(struct request *r);
    /* A message of answer; false if it makes no sense.  Not for DONE. */
    bool (*take)(struct request *r, struct part *part, struct message *m);
    /* Nobody is waited for any more. */
    void (*finish)(struct request *r);
    bool for_ever; /* until the client goes; with all workers there are */
    bool changes;  /* something: POST, and it is logged */
};

struct request {
    struct list link;
    struct ev_loop *loop;
    struct control_links *links;
    struct exchange *exchange;
    const struct route *route;
    struct question question; /* to every worker; its id is the request's */
    char reason[REASON_MAX + 1];
    char purge_name[MEMO_NAME_MAX + 1], purge_key[MEMO_PURGE_MAX + 1];
    struct part *parts; /* by slot - 1 */
    unsigned slot_count;
    unsigned waiting; /* parts that wait */
    bool ordered;     /* the supervisor's reply is not whole yet */
    bool order_failed;
    struct buf reply; /* of the supervisor */
    uint64_t count;   /* sessions told of, or ended */
    uint64_t lost;    /* events */
    bool watching;    /* the client knows that it follows */
    struct tally *tally;
    ev_tstamp progress; /* when something last came */
    bool finished;
};

/* Reads the filters; answers the request itself if they make no sense. */
bool request_read(struct request *r);

void request_fail(struct request *r, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Asks all workers; each may send `credit` messages. */
void request_ask(struct request *r, enum question_kind kind, uint64_t credit);
/* The same for one of them. */
void request_ask_one(struct request *r, unsigned slot);
/* The worker has no more to say, or will never say it. */
void request_part_over(struct request *r, struct part *part,
                       enum part_state state);
/* Grants what the client's progress allows. */
void request_grant(struct request *r);
void request_end_if_over(struct request *r);

/* Writes ,"missing":[1,2] */
void request_put_missing(struct request *r);
void request_put_text(struct request *r, const char *before, struct slice text);
/* The same for one of any length. */
void request_put_long_text(struct request *r, const char *before,
                           struct slice text);
/* Writes the whole value. */
void request_put_json(struct request *r, const cJSON *value);
