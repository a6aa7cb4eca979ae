/* cover.h -- neighbours that accept for a worker that can't.
 *
 * While a slot has no ready worker, or its worker has been silent, another
 * worker is given its sockets, so that nothing waits in their backlogs. */
#pragma once

#include "process/slot.h"

/* Gives and takes back what has changed since the last call. */
void cover_slots(struct slot *slots, size_t count);

/* There are other sockets: those who keep some for a neighbour get the rest. */
void cover_renew(struct slot *slots, size_t count);
