/* dict_list.h -- a list as the bytes of one value of a dict: how many there
 * are, then each between its lengths, so that either end is at hand.
 *
 * What a damaged list seems to hold is not there. */
#pragma once

#include "lua/dict.h"

/* `list` may be empty: there is none yet. */
uint32_t dict_list_count(struct slice list);

/* Writes `list` with one more at its front or back into `into`; its length, or
 * 0 if that is more than `size`. */
size_t dict_list_push(struct slice list, const struct dict_value *value,
                      enum dict_end end, char *into, size_t size);

/* Writes what is left, `*len` bytes (0: nothing is), into `into`, which has
 * room for the whole list, and behind that the one that was taken, to which
 * `value` points; false if there is none. */
bool dict_list_pop(struct slice list, enum dict_end end, char *into,
                   size_t *len, struct dict_value *value) MUST_USE;
