/* splice.h -- moving bytes from one stream to another and back.
 *
 * Holds no buffer, pipe or watcher of its own while idle: each turn reads into
 * the worker's shared 64 KiB block; a read that fills it, with both sides
 * plain, borrows a pipe and splice(2)s up to 1 MiB.  Bytes the destination
 * did not take are held (and the source is not read) until it is writable. */
#pragma once

#include "net/stream.h"

struct splice_pool; /* shared block, spare pipes; one a worker */
struct splice_held; /* bytes read but not written yet */

struct splice_pool *splice_pool_new(size_t pipes_max);
void splice_pool_free(struct splice_pool *p);

/* One direction.  Zero to start. */
struct channel {
    struct splice_held *held; /* NULL when nothing is waiting */
    uint64_t bytes;           /* written to the destination so far */
    bool eof;                 /* the source has ended */
    bool shut;                /* and the destination was told so */
    bool last;                /* the other direction has ended too: the end
                                 need not be told, both are closed */
};

enum splice_state {
    SPLICE_IDLE,    /* source is empty: wait for it to be readable */
    SPLICE_BLOCKED, /* wait for the destination to be writable */
    SPLICE_MORE,    /* this turn's share is used up: come back soon */
    SPLICE_ENDED,   /* EOF passed on with shutdown: nothing more to do */
    SPLICE_SOURCE_FAILED,
    SPLICE_DESTINATION_FAILED,
};

/* Moves what it can.  `*moved` is what reached the destination this turn. */
enum splice_state splice_turn(struct splice_pool *p, struct channel *c,
                              struct stream *from, struct stream *to,
                              size_t *moved);

/* Puts `bytes` in front of what comes next (leftovers of the login).  Copies. */
void splice_push(struct splice_pool *p, struct channel *c, struct slice bytes);

/* Gives back what is held; a pipe that is not empty is closed. */
void splice_end(struct splice_pool *p, struct channel *c);
