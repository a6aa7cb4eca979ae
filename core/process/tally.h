/* tally.h -- what all workers have counted, together and for good.
 *
 * Each worker has a registry that dies with it.  Of the last answer of each
 * slot a copy is kept; when the slot's worker is another one, which `started`
 * tells, what its predecessor had counted is added to what was before.  So no
 * sum ever falls, and what is lost with a worker is what it counted since it
 * was last asked.  Gauges are those of the last answers of workers that live. */
#pragma once

#include "base/counters.h"
#include "process/control_words.h"

struct tally;
struct tally_part; /* an answer that is not whole yet */

struct tally *tally_new(unsigned slot_count);
void tally_free(struct tally *t);

/* An answer begins. */
struct tally_part *tally_part_new(void);
void tally_part_free(struct tally_part *p); /* NULL is fine */
/* One row of it; false when that makes no sense, or there are too many. */
bool tally_part_add(struct tally_part *p, const struct counter_row *row);

/* The answer of the slot to question `id` is whole, and becomes the tally's.
 * One to an earlier question than the last changes nothing. */
void tally_take(struct tally *t, unsigned slot, uint64_t id,
                struct tally_part *p);
/* The slot's worker has gone, or can't be asked: its gauges go. */
void tally_lost(struct tally *t, unsigned slot);

/* The sum of everything; the caller's. */
struct counters *tally_sum(const struct tally *t);
