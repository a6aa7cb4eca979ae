/* id.h -- names that no two sessions share. */
#pragma once

/* A ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base32.
 * Sorts by time. */
void id_make(char out[27]);
